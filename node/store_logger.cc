// SPDX-License-Identifier: Apache-2.0
#include "node/store_logger.h"

#include <rocksdb/env.h>

#include <cstdarg>

namespace colophon::node {
namespace {

class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace

std::shared_ptr<rocksdb::Logger> silent_logger() { return std::make_shared<SilentLogger>(); }

}  // namespace colophon::node
