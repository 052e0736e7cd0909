// SPDX-License-Identifier: Apache-2.0
//
// The real clock, randomness, disk and network.
#include <httplib.h>
#include <rocksdb/env.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "node/environment.h"

namespace colophon::node {
namespace {

// A connection holds a thread while it is open; a submission holds one until its block is durable.
constexpr std::size_t kHttpThreads = 48;
constexpr int kListenBacklog = 512;
constexpr int kReadTimeoutSeconds = 10;
constexpr int kWriteTimeoutSeconds = 10;
constexpr int kKeepAliveSeconds = 5;
constexpr std::size_t kKeepAliveRequestsMax = 1000;
constexpr std::size_t kPathBytesMax = 2048;

class SystemClock final : public Clock {
 public:
  std::uint64_t now_ms() override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
  std::uint64_t monotonic_us() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now).count());
  }
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      const ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got > 0) {
        out = out.subspan(static_cast<std::size_t>(got));
      } else if (errno != EINTR) {
        std::abort();  // a kernel without getrandom: nothing here may go on with bad randomness
      }
    }
  }
};

// Errors that httplib finds before a handler runs, in the form of all others.
void set_error_body(int status, httplib::Response& response) {
  const char* code = "malformed";
  const char* message = "the request is not well-formed HTTP, or no handler takes its method";
  if (status == 413 || status == 414) {
    code = "limit_exceeded";
    message = status == 413 ? "the request's body is larger than the API allows"
                            : "the request's path is longer than the API allows";
  } else if (status >= 500) {
    code = "internal";
    message = "the request failed inside the node";
  }
  response.set_content(std::string(R"({"error":{"code":")") + code + R"(","field":"","message":")" +
                           message + "\"}}\n",
                       "application/json");
}

class SystemListener final : public HttpListener {
 public:
  ~SystemListener() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Result<void> start(const std::string& host, std::uint16_t port, std::size_t body_bytes_max,
                     HttpHandler handler) {
    configure(body_bytes_max, std::move(handler));
    errno = 0;
    const int bound = port == 0                               ? server_.bind_to_any_port(host)
                      : server_.bind_to_port(host, port) ? port
                                                              : -1;
    if (bound <= 0) return bind_error(host, port, errno);
    port_ = static_cast<std::uint16_t>(bound);
    // httplib listens with a backlog of 5; listening again only changes that.
    if (socket_ >= 0) (void)::listen(socket_, kListenBacklog);
    thread_ = std::thread([this] {
      server_.listen_after_bind();
      ended_ = true;
    });
    // stop() is without effect before the server runs, so wait for that here.
    while (!server_.is_running() && !ended_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }

 private:
  static Error bind_error(const std::string& host, std::uint16_t port, int code) {
    const std::string where = host + ":" + std::to_string(port);
    if (code == EADDRINUSE) {
      return make_error(ErrorCode::kUnavailable,
                        "cannot listen on " + where +
                            ": the port is in use; stop what listens there or choose another port",
                        "listen", EADDRINUSE);
    }
    if (code == EACCES) {
      return make_error(ErrorCode::kUnavailable,
                        "cannot listen on " + where +
                            ": this user may not; choose a port of 1024 or more",
                        "listen", EACCES);
    }
    return make_error(ErrorCode::kInvalidArgument,
                      "cannot listen on " + where + ": " +
                          (code == 0 ? std::string("the host is not an address of this machine")
                                     : std::string(std::strerror(code))),
                      "listen", static_cast<std::uint64_t>(code));
  }

  void configure(std::size_t body_bytes_max, HttpHandler handler) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kHttpThreads); };
    // httplib sets SO_REUSEPORT by default, with which a port in use is no error.
    server_.set_socket_options([this](socket_t socket) {
      const int yes = 1;
      (void)setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      socket_ = socket;
    });
    server_.set_tcp_nodelay(true);
    server_.set_read_timeout(kReadTimeoutSeconds);
    server_.set_write_timeout(kWriteTimeoutSeconds);
    server_.set_keep_alive_timeout(kKeepAliveSeconds);
    server_.set_keep_alive_max_count(kKeepAliveRequestsMax);
    server_.set_payload_max_length(body_bytes_max);
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          response.status = 500;
          set_error_body(500, response);
        });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) set_error_body(response.status, response);
    });
    server_.set_pre_routing_handler(&SystemListener::refuse_early);
    const auto serve = [handle = std::move(handler)](const httplib::Request& from,
                                                     httplib::Response& to) {
      HttpRequest request;
      request.method = from.method;
      request.path = from.path;
      request.query.insert(from.params.begin(), from.params.end());
      request.content_type = from.get_header_value("Content-Type");
      request.body = from.body;
      HttpResponse response = handle(request);
      to.status = response.status;
      to.set_content(std::move(response.body), response.content_type);
    };
    const char* any = R"(/[^\n]*)";
    server_.Get(any, serve);
    server_.Post(any, serve);
    server_.Put(any, serve);
    server_.Patch(any, serve);
    server_.Delete(any, serve);
    server_.Options(any, serve);
  }

  // Bodies whose size is not known before they are read could fill the memory.
  static httplib::Server::HandlerResponse refuse_early(const httplib::Request& request,
                                                       httplib::Response& response) {
    if (request.has_header("Transfer-Encoding")) {
      response.status = 411;
    } else if (request.has_header("Content-Encoding")) {
      response.status = 415;
    } else if (request.path.size() > kPathBytesMax) {
      response.status = 414;  // and std::regex takes stack by the byte
    } else {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    set_error_body(response.status, response);
    return httplib::Server::HandlerResponse::Handled;
  }

  httplib::Server server_;
  socket_t socket_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

class SystemNetwork final : public Network {
 public:
  Result<std::unique_ptr<HttpListener>> serve_http(const std::string& host, std::uint16_t port,
                                                   std::size_t body_bytes_max,
                                                   HttpHandler handler) override {
    auto listener = std::make_unique<SystemListener>();
    COLOPHON_TRY(listener->start(host, port, body_bytes_max, std::move(handler)));
    return std::unique_ptr<HttpListener>(std::move(listener));
  }
};

}  // namespace

Environment system_environment() {
  static SystemClock clock;
  static SystemRandom random;
  static SystemNetwork network;
  return Environment{clock, random, *rocksdb::Env::Default(), network};
}

}  // namespace colophon::node
