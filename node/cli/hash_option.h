// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "colophon/hash.hpp"

namespace colophon::cli {

// Adds to `command` an option that takes a hash's name; what `algorithm` holds is the default.
// `algorithm` outlives the parse.
inline CLI::Option* add_hash_option(CLI::App& command, const std::string& option,
                                    HashAlgorithm& algorithm, const std::string& about) {
  std::vector<std::string> names;
  for (std::uint8_t i = 1; hash_name(HashAlgorithm{i}) != "unknown"; ++i) {
    names.emplace_back(hash_name(HashAlgorithm{i}));
  }
  const auto set = [&algorithm](const std::string& name) {
    algorithm = hash_from_name(name).value_or(algorithm);
  };
  return command.add_option_function<std::string>(option, set, about)
      ->check(CLI::IsMember(names))
      ->default_str(std::string(hash_name(algorithm)));
}

}  // namespace colophon::cli
