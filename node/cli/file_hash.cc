// SPDX-License-Identifier: Apache-2.0
#include "node/cli/file_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "node/cli/line_reader.h"

namespace colophon::cli {
namespace {

// A descriptor of its own, but for standard input, which stays open.
class Input {
 public:
  [[nodiscard]] static Result<Input> open(const std::string& path, FileKind kind) {
    if (kind == FileKind::kAny && path == "-") return Input(STDIN_FILENO);
    const int flags = kind == FileKind::kRegular ? O_NOFOLLOW | O_NONBLOCK : 0;
    Input input(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags));
    if (input.get() < 0) return file_error(path, errno);
    return input;
  }
  Input(Input&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() {
    if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  explicit Input(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

Result<struct stat> status_of(const Input& input, const std::string& path) {
  struct stat status {};
  if (::fstat(input.get(), &status) != 0) return file_error(path, errno);
  return status;
}

Result<void> check_kind(const struct stat& status, FileKind kind, const std::string& path) {
  if (S_ISDIR(status.st_mode)) {
    return make_error(ErrorCode::kInvalidArgument, "cannot be hashed: it is a folder", path);
  }
  if (kind == FileKind::kRegular && !S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kInvalidArgument, "cannot be hashed: it is no regular file", path);
  }
  return {};
}

// Where one reads on from; 0 where that has no meaning.
std::uint64_t position_of(const Input& input) {
  const off_t position = ::lseek(input.get(), 0, SEEK_CUR);
  return position < 0 ? 0 : static_cast<std::uint64_t>(position);
}

bool same_time(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

Error changed(const std::string& path) {
  return make_error(ErrorCode::kUnavailable, "cannot be hashed: it changed while it was read",
                    path);
}

// Whether what was read, `end` being the place of its last byte, is one state of the file.
Result<void> check_unchanged(const struct stat& before, const struct stat& after, std::uint64_t end,
                             const std::string& path) {
  if (!S_ISREG(before.st_mode)) return {};
  if (before.st_nlink != 0 && after.st_nlink == 0) {
    return make_error(ErrorCode::kNotFound, "cannot be hashed: it was removed while it was read",
                      path);
  }
  if (before.st_size != after.st_size || !same_time(before.st_mtim, after.st_mtim)) {
    return changed(path);
  }
  // The files of /proc have bytes, but no size.
  const auto size = static_cast<std::uint64_t>(before.st_size);
  if (size != 0 && end < size) {
    return make_error(
        ErrorCode::kIo,
        "cannot be read: it ended at byte " + std::to_string(end) + " of " + std::to_string(size),
        path);
  }
  return {};
}

}  // namespace

Result<FileHash> hash_file(const Backend& backend, HashAlgorithm algorithm, const std::string& path,
                           FileKind kind, const std::function<void(std::uint64_t)>& progress) {
  constexpr int kReadingsMax = 3;
  COLOPHON_TRY_ASSIGN(const Input input, Input::open(path, kind));
  COLOPHON_TRY_ASSIGN(struct stat before, status_of(input, path));
  COLOPHON_TRY(check_kind(before, kind, path));
  const std::uint64_t begin = position_of(input);
  const auto piece = std::make_unique_for_overwrite<std::uint8_t[]>(kHashPieceBytes);
  for (int reading = 1;; ++reading) {
    COLOPHON_TRY_ASSIGN(HashStream stream, HashStream::create(backend, algorithm));
    FileHash hash;
    while (true) {
      const ssize_t got = ::read(input.get(), piece.get(), kHashPieceBytes);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return file_error(path, errno);
      if (got == 0) break;
      COLOPHON_TRY(stream.update(ByteSpan(piece.get(), static_cast<std::size_t>(got))));
      hash.file_bytes += static_cast<std::uint64_t>(got);
      if (progress) progress(hash.file_bytes);
    }

    COLOPHON_TRY_ASSIGN(const struct stat after, status_of(input, path));
    COLOPHON_TRY(check_unchanged(before, after, begin + hash.file_bytes, path));
    if (!S_ISREG(before.st_mode) || same_time(before.st_ctim, after.st_ctim)) {
      hash.digest_size = digest_bytes(algorithm);
      COLOPHON_TRY(stream.finish(std::span(hash.bytes).first(hash.digest_size)));
      return hash;
    }
    // Renamed, or given other rights; or written to, and its time set back.
    if (reading == kReadingsMax) return changed(path);
    if (::lseek(input.get(), static_cast<off_t>(begin), SEEK_SET) < 0) {
      return file_error(path, errno);
    }
    before = after;
  }
}

}  // namespace colophon::cli
