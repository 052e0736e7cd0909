// SPDX-License-Identifier: Apache-2.0
//
// The HTTP API over a node: JSON in and out, as node/api/openapi.json says. Pure request ->
// response, so that it can be tested and simulated without a socket.
#pragma once

#include "node/certificate.h"
#include "node/environment.h"
#include "node/node.h"

namespace colophon::node {

inline constexpr std::size_t kApiBodyBytesMax = 8 * 1024 * 1024;

// `node` outlives the handler. `certificate_chain`: of the log key, leaf first, without the root;
// used in certificates.
[[nodiscard]] HttpHandler make_api(Node& node, std::vector<Der> certificate_chain);

}  // namespace colophon::node
