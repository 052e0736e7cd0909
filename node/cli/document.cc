// SPDX-License-Identifier: Apache-2.0
#include "node/cli/document.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace colophon::cli {
namespace {

constexpr std::size_t kReadBytes = 1024 * 1024;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  // True if closing found no late write error.
  [[nodiscard]] bool close() noexcept { return ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

Error system_error(const char* what, const std::string& path) {
  const int number = errno;
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::kPermissionDenied;
  if (number == EEXIST) code = ErrorCode::kAlreadyExists;
  return make_error(code, std::string(what) + ": " + std::generic_category().message(number), path,
                    static_cast<std::uint64_t>(number));
}

Result<std::uint64_t> regular_size(int descriptor, const std::string& path) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return system_error("cannot be read", path);
  if (!S_ISREG(info.st_mode)) {
    return make_error(ErrorCode::kInvalidArgument, "is not a regular file", path);
  }
  return static_cast<std::uint64_t>(info.st_size);
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error("cannot be written", path);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

// The name is durable only when the folder that holds it is.
Result<void> sync_folder_of(const std::string& path) {
  const std::string folder = folder_of(path);
  const File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) return system_error("cannot be synced", folder);
  return {};
}

}  // namespace

Result<Digest> hash_document(const std::string& path,
                             const std::function<void(std::uint64_t)>& progress) {
  // Not to hang on a pipe that nobody writes; the flag changes nothing for a regular file.
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error("cannot be opened", path);
  COLOPHON_TRY(regular_size(file.get(), path));

  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    return make_error(ErrorCode::kInternal, "SHA-256 cannot be started");
  }
  std::vector<std::uint8_t> buffer(kReadBytes);
  std::uint64_t done = 0;
  for (;;) {
    const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("cannot be read", path);
    if (size == 0) break;
    if (EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(size)) != 1) {
      return make_error(ErrorCode::kInternal, "SHA-256 failed");
    }
    done += static_cast<std::uint64_t>(size);
    if (progress) progress(done);
  }
  Digest digest{};
  if (EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    return make_error(ErrorCode::kInternal, "SHA-256 failed");
  }
  return digest;
}

Result<std::uint64_t> document_size(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error("cannot be opened", path);
  return regular_size(file.get(), path);
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error("cannot be opened", path);
  COLOPHON_TRY(regular_size(file.get(), path));
  std::string bytes(bytes_max + 1, '\0');  // one more than allowed shows a file that is too long
  std::size_t used = 0;
  while (used < bytes.size()) {
    const ssize_t size = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("cannot be read", path);
    if (size == 0) break;
    used += static_cast<std::size_t>(size);
  }
  if (used > bytes_max) {
    return make_error(ErrorCode::kLimitExceeded,
                      "is over " + std::to_string(bytes_max) + " bytes: is this the right file?",
                      path);
  }
  bytes.resize(used);
  return bytes;
}

Result<void> write_file(const std::string& path, std::string_view bytes, unsigned mode,
                        Overwrite overwrite) {
  // Of its own length: a name may be as long as the file system allows.
  std::string name = folder_of(path) + ".colophon.XXXXXX";
  {
    File file(::mkostemp(name.data(), O_CLOEXEC));
    if (file.get() < 0) return system_error("cannot be created", path);
    const auto fail = [&](Error error) {
      ::unlink(name.c_str());
      return error;
    };
    if (::fchmod(file.get(), mode) != 0) return fail(system_error("cannot be written", path));
    if (Result<void> written = write_all(file.get(), bytes, path); !written) {
      return fail(written.error());
    }
    if (::fsync(file.get()) != 0 || !file.close()) {
      return fail(system_error("cannot be written", path));
    }
    const unsigned flags = overwrite == Overwrite::kRefuse ? RENAME_NOREPLACE : 0;
    const bool placed = ::renameat2(AT_FDCWD, name.c_str(), AT_FDCWD, path.c_str(), flags) == 0;
    if (!placed) {
      Error error = system_error("cannot be written", path);
      if (error.code == ErrorCode::kAlreadyExists) {
        error.message = "is there already and is not overwritten: name another file or remove it";
      }
      return fail(std::move(error));
    }
  }
  return sync_folder_of(path);
}

}  // namespace colophon::cli
