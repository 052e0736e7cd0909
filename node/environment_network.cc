// SPDX-License-Identifier: Apache-2.0
#include "node/environment_network.h"

#include <httplib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace colophon::node {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr std::size_t kThreads = 48;
constexpr std::size_t kBodyThreadsMax = 40;   // of them, for requests with a body
constexpr std::size_t kConnectionsMax = 256;  // descriptors; RocksDB needs the rest of 1024
constexpr int kListenBacklog = 512;
constexpr std::size_t kHeaderBytesMax = 8192;    // request line and header fields
constexpr std::size_t kPathBytesMax = 512;       // httplib matches it by std::regex, which recurses
constexpr std::size_t kDrainBytesMax = 1 << 24;  // read and dropped before a refused body's end
// Each bounds a whole phase, however its bytes come.
constexpr seconds kIdleMax{30};
constexpr seconds kHeaderMax{10};
constexpr seconds kBodyMax{30};
constexpr seconds kWriteMax{30};
constexpr seconds kDrainMax{2};
constexpr std::chrono::milliseconds kAcceptPause{100};  // while there is no room

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// Errors found before a handler runs, in the form of all others.
struct Refusal {
  int status;
  const char* code;
  const char* message;
};
constexpr Refusal kRefusals[] = {
    {400, "malformed", "the request is not well-formed HTTP/1.1, or broke off"},
    {411, "malformed",
     "a request with a body must state its Content-Length, and send it unchunked"},
    {413, "limit_exceeded",
     "the body is larger than body_bytes_max of /v1/status: send fewer transactions a request"},
    {414, "limit_exceeded", "the request's path is longer than 512 bytes"},
    {415, "unsupported", "the body must be sent as it is: no Content-Encoding, no form"},
    {416, "malformed", "the header field Range is not well-formed: leave it out"},
    {431, "limit_exceeded", "the request's header is larger than 8192 bytes"},
    {500, "internal", "the request failed inside the node"},
};

std::string refusal_body(int status) {
  const auto* found = std::ranges::find(kRefusals, status, &Refusal::status);
  if (found == std::end(kRefusals)) found = status >= 500 ? std::end(kRefusals) - 1 : kRefusals;
  return std::string(R"({"error":{"code":")") + found->code + R"(","field":")" +
         (found->status == 413 ? "body" : "") + R"(","message":")" + found->message + "\"}}\n";
}

// A connection, which is what httplib reads a request from and writes the response to.
class Connection final : public httplib::Stream {
 public:
  explicit Connection(Descriptor socket)
      : socket_(std::move(socket)), idle_until(SteadyClock::now() + kHeaderMax) {}

  enum class Arrival { kNothing, kRequest, kTooLarge, kEnd };
  // Takes what has come in, without waiting.
  Arrival receive() {
    char buffer[16384];
    const ssize_t got = ::recv(fd(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got == 0) return Arrival::kEnd;
    if (got < 0) {
      return errno == EAGAIN || errno == EINTR ? Arrival::kNothing : Arrival::kEnd;
    }
    if (draining_) {
      dropped_ += static_cast<std::size_t>(got);
      return dropped_ > kDrainBytesMax ? Arrival::kEnd : Arrival::kNothing;
    }
    if (unread().empty()) idle_until = SteadyClock::now() + kHeaderMax;
    received_.erase(0, read_);
    read_ = 0;
    received_.append(buffer, static_cast<std::size_t>(got));
    if (has_request()) return Arrival::kRequest;
    return received_.size() > kHeaderBytesMax ? Arrival::kTooLarge : Arrival::kNothing;
  }
  // The header of a request is there whole.
  [[nodiscard]] bool has_request() const {
    return unread().substr(0, kHeaderBytesMax).find("\r\n\r\n") != std::string_view::npos;
  }
  // By its method alone: cheap, and a peer that lies gets no body read.
  [[nodiscard]] bool may_have_body() const {
    return !unread().starts_with("GET ") && !unread().starts_with("HEAD ");
  }
  void begin_request() {
    read_until_ = SteadyClock::now() + kBodyMax;
    write_until_.reset();
  }

  // After a reply to a request that was not read to its end: closing at once could take the reply
  // from a peer that is still sending. From here on all that comes is dropped.
  void start_draining() {
    ::shutdown(fd(), SHUT_WR);
    received_.clear();
    read_ = 0;
    draining_ = true;
    idle_until = SteadyClock::now() + kDrainMax;
  }
  [[nodiscard]] bool is_draining() const { return draining_; }
  void send_refusal(int status) {
    const std::string body = refusal_body(status);
    const std::string reply = "HTTP/1.1 " + std::to_string(status) +
                              " Refused\r\nContent-Type: application/json\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    (void)::send(fd(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    start_draining();
  }
  [[nodiscard]] int fd() const { return socket_.get(); }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, std::size_t size) override {
    if (!unread().empty()) {
      size = unread().copy(out, size);
      read_ += size;
      return static_cast<ssize_t>(size);
    }
    while (wait(POLLIN, read_until_)) {
      const ssize_t got = ::recv(fd(), out, size, MSG_DONTWAIT);
      if (got >= 0 || (errno != EAGAIN && errno != EINTR)) return got;
    }
    return -1;
  }
  // All of it or -1.
  ssize_t write(const char* data, std::size_t size) override {
    if (!write_until_) write_until_ = SteadyClock::now() + kWriteMax;
    std::size_t sent = 0;
    while (sent < size) {
      const ssize_t put = ::send(fd(), data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (put >= 0) {
        sent += static_cast<std::size_t>(put);
      } else if (errno == EAGAIN) {
        if (!wait(POLLOUT, *write_until_)) return -1;
      } else if (errno != EINTR) {
        return -1;
      }
    }
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  // httplib refuses descriptors that select() cannot take; nothing here selects.
  socket_t socket() const override { return -1; }

 private:
  static void nowhere(std::string& ip, int& port) {
    ip.clear();
    port = 0;
  }
  [[nodiscard]] bool wait(short what, SteadyClock::time_point until) const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - SteadyClock::now()).count();
    if (left <= 0) return false;
    pollfd one{fd(), what, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(left));
    return ready > 0 || (ready < 0 && errno == EINTR);
  }

  [[nodiscard]] std::string_view unread() const {
    return std::string_view(received_).substr(read_);
  }

  Descriptor socket_;
  std::string received_;
  std::size_t read_ = 0;  // bytes of received_
  bool draining_ = false;
  std::size_t dropped_ = 0;
  SteadyClock::time_point read_until_;
  std::optional<SteadyClock::time_point> write_until_;

 public:
  SteadyClock::time_point idle_until;  // while no worker has it
};

// Reads requests and writes responses, one at a time.
class Worker final : private httplib::Server {
 public:
  Worker(std::size_t body_bytes_max, const HttpHandler& handler)
      : body_bytes_max_(body_bytes_max), handler_(handler) {
    set_payload_max_length(body_bytes_max);
    set_expect_100_continue_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          return refused(request, response) ? response.status : 100;
        });
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      return route(request, response);
    });
    Post(R"([\s\S]*)",
         [this](const httplib::Request& request, httplib::Response& response,
                const httplib::ContentReader& read) { answer_with_body(request, response, read); });
    set_exception_handler([](const httplib::Request&, httplib::Response& response,
                             const std::exception_ptr&) { response.status = 500; });
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        response.set_content(refusal_body(response.status), "application/json");
      }
    });
    set_post_routing_handler([this](const httplib::Request&, httplib::Response& response) {
      response.headers.erase("Keep-Alive");
      if (at_boundary_) return;
      response.headers.erase("Connection");
      response.set_header("Connection", "close");
    });
  }

  // False: the connection must be closed now.
  bool serve(Connection& connection) {
    connection.begin_request();
    at_boundary_ = false;
    bool closed = false;
    bool written = false;
    try {
      written = process_request(connection, /*close_connection=*/false, closed,
                                [](httplib::Request& request) {
                                  request.ranges.clear();  // every answer is whole
                                });
    } catch (const std::exception&) {
      return false;  // out of memory while the header was read
    }
    if (written && !at_boundary_) {
      connection.start_draining();
      return true;
    }
    return written && !closed;
  }

 private:
  // What must not be read, or not by these rules. Sets status and body.
  bool refused(const httplib::Request& request, httplib::Response& response) const {
    const int status = status_of_header(request);
    if (status == 0) return false;
    response.status = status;
    response.set_content(refusal_body(status), "application/json");
    return true;
  }

  // 0: nothing is wrong.
  int status_of_header(const httplib::Request& request) const {
    // Bodies of unknown or expanding size could fill the memory.
    if (request.has_header("Transfer-Encoding")) return 411;
    if (request.has_header("Content-Encoding")) return 415;
    if (request.is_multipart_form_data()) return 415;  // httplib would take it apart
    if (request.path.size() > kPathBytesMax) return 414;
    const std::size_t lengths = request.get_header_value_count("Content-Length");
    if (lengths == 0) return request.method == "POST" ? 411 : 0;
    const std::string length = request.get_header_value("Content-Length");
    const bool decimal =
        !length.empty() && std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; });
    if (lengths > 1 || !decimal) return 400;
    if (length.size() > 18 || std::stoull(length) > body_bytes_max_) return 413;
    return 0;
  }

  HandlerResponse route(const httplib::Request& request, httplib::Response& response) {
    if (refused(request, response)) return HandlerResponse::Handled;
    const bool has_body =
        request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0";
    if (request.method == "POST" && has_body) return HandlerResponse::Unhandled;
    // A body where none belongs stays unread, and must not be taken for the next request.
    at_boundary_ = !has_body;
    answer(request, {}, response);
    return HandlerResponse::Handled;
  }

  void answer_with_body(const httplib::Request& request, httplib::Response& response,
                        const httplib::ContentReader& read) {
    std::string body;
    body.reserve(std::stoull(request.get_header_value("Content-Length")));
    const bool whole = read([&](const char* bytes, std::size_t size) {
      body.append(bytes, size);
      return true;
    });
    if (!whole) {
      response.status = 400;  // it broke off, or took too long
      return;
    }
    at_boundary_ = true;
    answer(request, std::move(body), response);
  }

  void answer(const httplib::Request& from, std::string body, httplib::Response& to) const {
    HttpRequest request;
    request.method = from.method;
    request.path = from.path;
    request.query.insert(from.params.begin(), from.params.end());
    request.content_type = from.get_header_value("Content-Type");
    request.body = std::move(body);
    HttpResponse response = handler_(request);
    to.status = response.status;
    to.set_content(response.body, response.content_type);
  }

  std::size_t body_bytes_max_;
  const HttpHandler& handler_;
  bool at_boundary_ = false;  // what comes next on the connection is a new request
};

class SystemListener final : public HttpListener {
 public:
  SystemListener() = default;
  SystemListener(const SystemListener&) = delete;
  SystemListener& operator=(const SystemListener&) = delete;
  ~SystemListener() override {
    {
      const std::scoped_lock guard(mutex_);
      stopping_ = true;
      // Nobody waits for the rest of a body any more.
      for (const Connection* connection : running_) ::shutdown(connection->fd(), SHUT_RD);
    }
    work_.notify_all();
    wake();
    for (std::thread& thread : threads_) thread.join();
  }

  Result<void> start(const std::string& host, std::uint16_t port, std::size_t body_bytes_max,
                     HttpHandler handler) {
    handler_ = std::move(handler);
    body_bytes_max_ = body_bytes_max;
    COLOPHON_TRY(bind(host, port));
    wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (wake_.get() < 0) return bind_error(host, port, errno);
    try {
      threads_.emplace_back([this] { wait_for_requests(); });
      for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      return make_error(ErrorCode::kUnavailable,
                        "cannot start the threads of the HTTP server: " + std::string(error.what()),
                        "listen");
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }

 private:
  static Error bind_error(const std::string& host, std::uint16_t port, int code);
  Result<void> bind(const std::string& host, std::uint16_t port);
  Result<Descriptor> listen_at(const addrinfo& address) const;

  // The thread that waits.
  void wait_for_requests();
  void accept_waiting();
  bool make_room();
  bool take_returned();
  int milliseconds_to_next_deadline() const;

  void work();
  // Under mutex_.
  void enqueue(std::unique_ptr<Connection> connection) {
    (connection->may_have_body() ? with_body_ : plain_).push_back(std::move(connection));
    work_.notify_one();
  }
  [[nodiscard]] bool has_work() const {
    return !plain_.empty() || (!with_body_.empty() && bodies_ < kBodyThreadsMax);
  }
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }

  HttpHandler handler_;
  std::size_t body_bytes_max_ = 0;
  std::uint16_t port_ = 0;
  Descriptor listening_;
  Descriptor wake_;

  // Of the waiting thread alone: connections without a whole request.
  std::vector<std::unique_ptr<Connection>> idle_;
  SteadyClock::time_point accept_again_;

  std::mutex mutex_;
  std::condition_variable work_;
  bool stopping_ = false;
  std::deque<std::unique_ptr<Connection>> plain_;      // requests that cannot have a body
  std::deque<std::unique_ptr<Connection>> with_body_;  // the others
  std::size_t bodies_ = 0;                             // workers busy with the others
  bool body_next_ = false;                             // they take turns
  std::set<const Connection*> running_;
  std::vector<std::unique_ptr<Connection>> returned_;  // answered, for the waiting thread
  std::vector<std::thread> threads_;                   // last: use all of the above
};

Error SystemListener::bind_error(const std::string& host, std::uint16_t port, int code) {
  const bool bare_v6 = host.find(':') != std::string::npos;
  const std::string where =
      "cannot listen on " + (bare_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + ": ";
  if (code == EADDRINUSE) {
    return make_error(ErrorCode::kUnavailable,
                      where + "the port is in use; stop what listens there or choose another port",
                      "listen", EADDRINUSE);
  }
  if (code == EACCES) {
    return make_error(ErrorCode::kUnavailable,
                      where + "this user may not; choose a port of 1024 or more", "listen", EACCES);
  }
  if (code == EADDRNOTAVAIL || code == 0) {
    return make_error(ErrorCode::kInvalidArgument,
                      where + "the host is not an address of this machine", "listen",
                      static_cast<std::uint64_t>(code));
  }
  return make_error(ErrorCode::kUnavailable, where + std::strerror(code), "listen",
                    static_cast<std::uint64_t>(code));
}

Result<Descriptor> SystemListener::listen_at(const addrinfo& address) const {
  Descriptor made(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  // Never SO_REUSEPORT, with which a port in use is no error.
  (void)::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (made.get() < 0 || ::bind(made.get(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(made.get(), kListenBacklog) != 0) {
    return make_error(ErrorCode::kUnavailable, "", "", static_cast<std::uint64_t>(errno));
  }
  return made;
}

Result<void> SystemListener::bind(const std::string& host, std::uint16_t port) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (name.empty() ||
      ::getaddrinfo(name.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return bind_error(name, port, 0);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  int code = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    auto made = listen_at(*address);
    if (!made) {
      code = static_cast<int>(made.error().native);
      if (code == EADDRINUSE) break;
      continue;
    }
    listening_ = *std::move(made);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    if (::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
      return bind_error(name, port, errno);
    }
    port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                              : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
    return {};
  }
  return bind_error(name, port, code);
}

int SystemListener::milliseconds_to_next_deadline() const {
  auto next = SteadyClock::now() + kIdleMax;
  if (accept_again_ > SteadyClock::now()) next = accept_again_;
  for (const auto& connection : idle_) next = std::min(next, connection->idle_until);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - SteadyClock::now()).count();
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left, 0));
}

// False: stopping.
bool SystemListener::take_returned() {
  std::uint64_t ignored = 0;
  (void)!::read(wake_.get(), &ignored, sizeof ignored);
  const std::scoped_lock guard(mutex_);
  for (auto& connection : returned_) {
    if (!connection->is_draining()) connection->idle_until = SteadyClock::now() + kIdleMax;
    idle_.push_back(std::move(connection));
  }
  returned_.clear();
  return !stopping_;
}

// At the limit the connection that has been idle longest goes: a peer that only holds connections
// keeps nobody out. False: all are busy.
bool SystemListener::make_room() {
  {
    const std::scoped_lock guard(mutex_);
    const std::size_t busy = plain_.size() + with_body_.size() + running_.size() + returned_.size();
    if (idle_.size() + busy < kConnectionsMax) return true;
  }
  if (idle_.empty()) return false;
  idle_.erase(std::ranges::min_element(
      idle_, {}, [](const auto& connection) { return connection->idle_until; }));
  return true;
}

void SystemListener::accept_waiting() {
  while (make_room()) {
    Descriptor socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      break;  // no descriptors, no memory
    }
    const int yes = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    idle_.push_back(std::make_unique<Connection>(std::move(socket)));
  }
  accept_again_ = SteadyClock::now() + kAcceptPause;
}

void SystemListener::wait_for_requests() {
  std::vector<pollfd> watched;
  while (take_returned()) {
    const short accepting = accept_again_ <= SteadyClock::now() ? POLLIN : 0;
    watched.assign({{wake_.get(), POLLIN, 0}, {listening_.get(), accepting, 0}});
    for (const auto& connection : idle_) watched.push_back({connection->fd(), POLLIN, 0});
    if (::poll(watched.data(), watched.size(), milliseconds_to_next_deadline()) < 0) continue;

    const auto now = SteadyClock::now();
    std::vector<std::unique_ptr<Connection>> kept;
    for (std::size_t i = 0; i < idle_.size(); ++i) {
      auto& connection = idle_[i];
      auto arrival = Connection::Arrival::kNothing;
      if (watched[i + 2].revents != 0) arrival = connection->receive();
      if (arrival == Connection::Arrival::kRequest) {
        const std::scoped_lock guard(mutex_);
        enqueue(std::move(connection));
        continue;
      }
      if (arrival == Connection::Arrival::kTooLarge) connection->send_refusal(431);
      if (arrival != Connection::Arrival::kEnd && connection->idle_until > now) {
        kept.push_back(std::move(connection));
      }
    }
    idle_ = std::move(kept);
    if (watched[1].revents != 0) accept_waiting();
  }
  idle_.clear();
}

void SystemListener::work() {
  Worker worker(body_bytes_max_, handler_);
  std::unique_lock guard(mutex_);
  for (;;) {
    work_.wait(guard, [&] { return stopping_ || has_work(); });
    if (stopping_) return;
    const bool body =
        !with_body_.empty() && bodies_ < kBodyThreadsMax && (plain_.empty() || body_next_);
    body_next_ = !body;
    auto& queue = body ? with_body_ : plain_;
    std::unique_ptr<Connection> connection = std::move(queue.front());
    queue.pop_front();
    running_.insert(connection.get());
    if (body) ++bodies_;
    guard.unlock();
    const bool keep = worker.serve(*connection);
    guard.lock();
    running_.erase(connection.get());
    if (body && bodies_-- == kBodyThreadsMax) work_.notify_one();
    if (!keep || stopping_) {
      guard.unlock();
      connection.reset();
      guard.lock();
    } else if (connection->has_request()) {
      enqueue(std::move(connection));
    } else {
      returned_.push_back(std::move(connection));
      wake();
    }
  }
}

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

Network& system_network() {
  static SystemNetwork network;
  return network;
}

}  // namespace colophon::node
