// SPDX-License-Identifier: Apache-2.0
//
// Lines of a file or of standard input, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::cli {

// An errno of opening or reading `path`: kNotFound, kPermissionDenied, else kIo.
[[nodiscard]] Error file_error(const std::string& path, int number);

class LineReader {
 public:
  enum class Outcome : std::uint8_t { kLine, kTooLong, kEnd };

  // `path`: a file, or "-" for standard input. Errors: kNotFound, kPermissionDenied, kIo.
  [[nodiscard]] static Result<LineReader> open(const std::string& path, std::size_t line_bytes_max);

  // The next line without its LF. A last line needs no LF; after a last LF there is no further,
  // empty line. kTooLong: the line is longer than line_bytes_max; it is skipped, `line` is empty.
  // Error: kIo.
  [[nodiscard]] Result<Outcome> next(std::string& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdin) std::fclose(file);
    }
  };
  LineReader(std::string path, std::FILE* file, std::size_t line_bytes_max);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::size_t line_bytes_max_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;  // buffer_[at_, end_) is still to read
  std::size_t end_ = 0;
};

// A whole file (or "-") of at most bytes_max bytes. Errors as above; kLimitExceeded.
[[nodiscard]] Result<std::string> read_whole(const std::string& path, std::size_t bytes_max);

}  // namespace colophon::cli
