// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

namespace rocksdb {
class Logger;
}

namespace colophon::node {

// A RocksDB logger that says nothing. RocksDB's own writes a LOG file beside the data and ends the
// process (an assertion) when it is written to again after the disk was full; what an operator
// should read, the store says in its errors.
[[nodiscard]] std::shared_ptr<rocksdb::Logger> silent_logger();

}  // namespace colophon::node
