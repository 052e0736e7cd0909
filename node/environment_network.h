// SPDX-License-Identifier: Apache-2.0
//
// The real network: an HTTP/1.1 server on a TCP port. cpp-httplib reads and writes the messages;
// the connections are ours, because its own server gives each a thread for as long as the peer
// likes.
//
// One thread waits for connections and for requests: an idle or slow peer costs a descriptor, not a
// thread. A request goes to one of kThreads workers once its header is there; requests with a body,
// which may be slow to come in and wait for a block, leave some of the workers to the others, so
// that health and metrics answer under any load.
#pragma once

#include "node/environment.h"

namespace colophon::node {

[[nodiscard]] Network& system_network();

}  // namespace colophon::node
