// SPDX-License-Identifier: Apache-2.0
//
// PEM files that the commands are given. The field of an error is `field`, the option that named
// the file; the message names the file.
#pragma once

#include <string>
#include <vector>

#include "colophon/error.hpp"
#include "node/der.h"

namespace colophon::cli {

// One or more certificates; only the armour is checked. Errors: read_file's, kMalformed,
// kLimitExceeded.
[[nodiscard]] Result<std::vector<node::Der>> read_certificates(const std::string& path,
                                                               const char* field);
// Exactly one.
[[nodiscard]] Result<node::Der> read_certificate(const std::string& path, const char* field);
// One PUBLIC KEY: its SubjectPublicKeyInfo, not looked into.
[[nodiscard]] Result<node::Der> read_public_key(const std::string& path, const char* field);

}  // namespace colophon::cli
