// SPDX-License-Identifier: Apache-2.0
//
// node/api/openapi.json, built in: what GET /openapi.json answers.
#pragma once

#include <string_view>

namespace colophon::node {

extern const std::string_view kOpenapiDocument;

}  // namespace colophon::node
