// SPDX-License-Identifier: Apache-2.0
#include "node/cli/folder_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "node/cli/line_reader.h"

namespace colophon::cli {
namespace {

namespace fs = std::filesystem;

class FolderWalk {
 public:
  FolderWalk(std::string folder, std::size_t files_max)
      : folder_(std::move(folder)), files_max_(files_max) {}

  [[nodiscard]] Result<std::vector<std::string>> run() {
    // Not recursive: how deep folders go is not ours to say.
    std::vector<std::string> waiting = {""};
    while (!waiting.empty()) {
      const std::string below = std::move(waiting.back());
      waiting.pop_back();
      COLOPHON_TRY(read(below, waiting));
    }
    std::sort(files_.begin(), files_.end());  // char_traits compares as unsigned bytes
    return std::move(files_);
  }

 private:
  // `below`: "" for the folder itself, else a path that ends in '/'.
  [[nodiscard]] Result<void> read(const std::string& below, std::vector<std::string>& waiting) {
    const std::string path = folder_ + "/" + below;
    std::error_code code;
    fs::directory_iterator entry(path, code);
    for (; !code && entry != fs::directory_iterator(); entry.increment(code)) {
      const std::string name = below + entry->path().filename().native();
      std::error_code lost;
      const fs::file_type type = entry->symlink_status(lost).type();
      if (lost) return file_error(folder_ + "/" + name, lost.value());
      if (type != fs::file_type::regular && type != fs::file_type::directory) continue;
      COLOPHON_TRY(count_path(name));
      if (type == fs::file_type::directory) {
        waiting.push_back(name + "/");
        continue;
      }
      if (files_.size() == files_max_) {
        return make_error(ErrorCode::kLimitExceeded,
                          "has more than " + std::to_string(files_max_) + " files", folder_);
      }
      files_.push_back(name);
    }
    if (code) return file_error(path, code.value());
    return {};
  }

  [[nodiscard]] Result<void> count_path(const std::string& name) {
    path_bytes_ += name.size();
    if (path_bytes_ > kFolderPathBytesMax) {
      return make_error(
          ErrorCode::kLimitExceeded,
          "has paths of more than " + std::to_string(kFolderPathBytesMax) + " bytes in all",
          folder_);
    }
    return {};
  }

  std::string folder_;
  std::size_t files_max_;
  std::size_t path_bytes_ = 0;
  std::vector<std::string> files_;
};

}  // namespace

Result<std::vector<std::string>> list_folder_files(const std::string& folder,
                                                   std::size_t files_max) {
  return FolderWalk(folder, files_max).run();
}

}  // namespace colophon::cli
