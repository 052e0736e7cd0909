// SPDX-License-Identifier: Apache-2.0
//
// All that reaches the node from outside: clock, randomness, disk, network. Nothing else in node/
// reads the time, opens a file for the ledger or a socket, or draws a random number, so that a
// seeded simulation can take the place of all four.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "colophon/error.hpp"

namespace rocksdb {
class Env;
}

namespace colophon::node {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::uint64_t now_ms() = 0;        // UTC, milliseconds since 1970
  [[nodiscard]] virtual std::uint64_t monotonic_us() = 0;  // for deadlines and metrics
  // Waits until `condition` is notified, `us` at most; it may return early. `guard` holds its
  // mutex.
  virtual void wait(std::condition_variable& condition, std::unique_lock<std::mutex>& guard,
                    std::uint64_t us) = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;  // cryptographic quality; thread-safe
};

struct HttpRequest {
  std::string method;  // "GET", "POST"
  std::string path;    // decoded, without the query
  std::multimap<std::string, std::string> query;
  std::string content_type;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

// Called on many threads at once.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// A listening server. Destruction stops it: no handler runs afterwards.
class HttpListener {
 public:
  virtual ~HttpListener() = default;
  [[nodiscard]] virtual std::uint16_t port() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // `port` 0: any free port. Bodies over `body_bytes_max` get 413 before they are read whole.
  // Errors: kUnavailable (port in use: the message names it and what to do), kInvalidArgument
  // (host).
  [[nodiscard]] virtual Result<std::unique_ptr<HttpListener>> serve_http(const std::string& host,
                                                                         std::uint16_t port,
                                                                         std::size_t body_bytes_max,
                                                                         HttpHandler handler) = 0;
};

// References are kept by the node for as long as it lives; the caller owns them.
struct Environment {
  Clock& clock;
  Random& random;
  rocksdb::Env& disk;  // every byte the node stores goes through it
  Network& network;
};

// The real ones, for the whole process.
[[nodiscard]] Environment system_environment();

}  // namespace colophon::node
