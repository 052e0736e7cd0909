// SPDX-License-Identifier: Apache-2.0
#include "node/cli/line_reader.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace colophon::cli {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;

Result<std::FILE*> open_file(const std::string& path) {
  if (path == "-") return stdin;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return file_error(path, errno);
  return file;
}

}  // namespace

Error file_error(const std::string& path, int number) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == EACCES) code = ErrorCode::kPermissionDenied;
  return make_error(code, std::string("cannot be read: ") + std::strerror(number), path,
                    static_cast<std::uint64_t>(number));
}

LineReader::LineReader(std::string path, std::FILE* file, std::size_t line_bytes_max)
    : path_(std::move(path)), file_(file), line_bytes_max_(line_bytes_max), buffer_(kBufferBytes) {}

Result<LineReader> LineReader::open(const std::string& path, std::size_t line_bytes_max) {
  COLOPHON_TRY_ASSIGN(std::FILE * file, open_file(path));
  return LineReader(path, file, line_bytes_max);
}

Result<LineReader::Outcome> LineReader::next(std::string& line) {
  line.clear();
  bool any = false;
  bool too_long = false;
  while (true) {
    if (at_ == end_) {
      errno = 0;
      at_ = 0;
      end_ = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
      if (end_ == 0) {
        if (std::ferror(file_.get()) != 0) return file_error(path_, errno);
        if (!any) return Outcome::kEnd;
        break;
      }
    }
    any = true;
    const char* begin = buffer_.data() + at_;
    const void* newline = std::memchr(begin, '\n', end_ - at_);
    const std::size_t length =
        newline == nullptr ? end_ - at_
                           : static_cast<std::size_t>(static_cast<const char*>(newline) - begin);
    if (length > line_bytes_max_ - line.size()) too_long = true;
    if (!too_long) line.append(begin, length);
    at_ += length;
    if (newline != nullptr) {
      ++at_;
      break;
    }
  }
  if (!too_long) return Outcome::kLine;
  line.clear();
  return Outcome::kTooLong;
}

Result<std::string> read_whole(const std::string& path, std::size_t bytes_max) {
  COLOPHON_TRY_ASSIGN(std::FILE * file, open_file(path));
  std::string text;
  std::vector<char> buffer(kBufferBytes);
  int error = 0;
  while (text.size() <= bytes_max) {
    errno = 0;
    const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file);
    if (got == 0) {
      if (std::ferror(file) != 0) error = errno;
      break;
    }
    text.append(buffer.data(), got);
  }
  if (file != stdin) std::fclose(file);
  if (error != 0) return file_error(path, error);
  if (text.size() > bytes_max) {
    return make_error(ErrorCode::kLimitExceeded,
                      "is longer than " + std::to_string(bytes_max) + " bytes", path);
  }
  return text;
}

}  // namespace colophon::cli
