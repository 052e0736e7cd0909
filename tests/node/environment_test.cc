// SPDX-License-Identifier: Apache-2.0
//
// The real clock, randomness and network. The server against clients that are slow, greedy, wrong
// or many: it answers those who do right, and nobody else's request becomes theirs.
#include "node/environment.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace colophon::node {
namespace {

constexpr std::size_t kBodyBytesMax = 1 << 20;

// A TCP connection that says exactly what it is told.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Peer(Peer&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        rest_(std::move(other.rest_)) {}
  Peer& operator=(Peer&&) = delete;
  ~Peer() {
    if (socket_ >= 0) ::close(socket_);
  }

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  struct Reply {
    int status = 0;  // 0: closed without one
    std::string header, body;
    [[nodiscard]] bool has(std::string_view line) const {
      return header.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
    }
  };
  // The next one on the connection.
  Reply reply(bool has_body = true) {
    Reply reply;
    std::size_t end = std::string::npos;
    while ((end = rest_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return {};
    }
    reply.header = rest_.substr(0, end + 2);
    rest_.erase(0, end + 4);
    reply.status = std::stoi(reply.header.substr(9, 3));
    const std::size_t length = reply.header.find("Content-Length: ");
    const std::size_t size =
        has_body && length != std::string::npos ? std::stoul(reply.header.substr(length + 16)) : 0;
    while (rest_.size() < size) {
      if (!receive()) return {};
    }
    reply.body = rest_.substr(0, size);
    rest_.erase(0, size);
    return reply;
  }
  // The server has closed it, and nothing more came.
  bool is_at_end() { return rest_.empty() && !receive(); }

 private:
  bool receive() {
    char buffer[65536];
    pollfd one{socket_, POLLIN, 0};
    if (::poll(&one, 1, 60'000) <= 0) return false;
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    rest_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  bool connected_ = false;
  std::string rest_;
};

std::string get(std::string_view path, std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(more) + "\r\n";
}
std::string post(std::string_view path, std::string_view body, std::string_view more = "") {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more) + "\r\n" + std::string(body);
}

// Echoes what it is asked; POST /wait waits until it is told.
class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto listening = system_environment().network.serve_http(
        "127.0.0.1", 0, kBodyBytesMax,
        [this](const HttpRequest& request) { return handle(request); });
    ASSERT_TRUE(listening.ok()) << listening.error().message;
    listener_ = *std::move(listening);
  }
  void TearDown() override { let_go(); }

  HttpResponse handle(const HttpRequest& request) {
    ++handled_;
    if (request.path == "/throw") throw std::runtime_error("a handler's defect");
    if (request.path == "/wait") {
      std::unique_lock guard(mutex_);
      ++waiting_;
      changed_.notify_all();
      changed_.wait(guard, [&] { return let_go_; });
      --waiting_;
    }
    if (request.path == "/large") return {200, "text/plain", std::string(1 << 20, 'x')};
    std::string body = request.method + " " + request.path;
    for (const auto& [name, value] : request.query) body += " " + name + "=" + value;
    body += " [" + request.content_type + "] " + std::to_string(request.body.size());
    return {request.path == "/missing" ? 404 : 200, "text/plain", body};
  }
  void wait_for_waiting(std::size_t count) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return waiting_ == count; });
  }
  void let_go() {
    const std::scoped_lock guard(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }
  Peer connect() { return Peer(listener_->port()); }
  Peer::Reply ask(std::string_view request) {
    Peer peer = connect();
    peer.send(request);
    return peer.reply();
  }
  // A refusal in the form of all errors, after which the connection is closed.
  void expect_refused(std::string_view request, int status, std::string_view code) {
    Peer peer = connect();
    peer.send(request);
    const Peer::Reply reply = peer.reply();
    EXPECT_EQ(reply.status, status) << reply.header << reply.body;
    EXPECT_TRUE(reply.has("Content-Type: application/json")) << reply.header;
    EXPECT_TRUE(reply.has("Connection: close")) << reply.header;
    EXPECT_TRUE(reply.body.starts_with(R"({"error":{"code":")" + std::string(code) + "\""))
        << reply.body;
    EXPECT_TRUE(peer.is_at_end());
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0;
  bool let_go_ = false;
  std::atomic<int> handled_ = 0;
  std::unique_ptr<HttpListener> listener_;
};

// --- what is right -------------------------------------------------------------------------------

TEST_F(HttpServerTest, PassesRequestsOn) {
  EXPECT_EQ(ask(get("/a/b?x=1&y=%20z")).body, "GET /a/b x=1 y= z [] 0");
  EXPECT_EQ(ask(get("/%2e%0a%00")).body.substr(0, 7), "GET /.\n");
  EXPECT_EQ(ask(post("/p", "12345", "Content-Type: application/json\r\n")).body,
            "POST /p [application/json] 5");
  EXPECT_EQ(ask(post("/p", "")).body, "POST /p [] 0");
  EXPECT_EQ(ask(get("/missing")).status, 404);
  for (const char* method : {"PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(ask(std::string(method) + " /x HTTP/1.1\r\nHost: x\r\n\r\n").body,
              std::string(method) + " /x [] 0");
  }
  Peer peer = connect();
  peer.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto head = peer.reply(/*has_body=*/false);
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.has("Content-Length: 12")) << head.header;
  peer.send(get("/y"));
  EXPECT_EQ(peer.reply().body, "GET /y [] 0");
}

TEST_F(HttpServerTest, ABodyOfTheLimitIsReadWhole) {
  EXPECT_EQ(ask(post("/p", std::string(kBodyBytesMax, 'x'))).body,
            "POST /p [] " + std::to_string(kBodyBytesMax));
}

TEST_F(HttpServerTest, AFormIsABodyLikeAnyOther) {
  const auto form = ask(post("/p", "x=1", "Content-Type: application/x-www-form-urlencoded\r\n"));
  EXPECT_EQ(form.body, "POST /p [application/x-www-form-urlencoded] 3");  // and no query
  expect_refused(
      post("/p", "--b\r\n\r\nx\r\n--b--\r\n", "Content-Type: multipart/form-data; boundary=b\r\n"),
      415, "unsupported");
}

TEST_F(HttpServerTest, AnswersWholeWhateverRangeIsAsked) {
  for (const char* range : {"bytes=0-3", "bytes=0-0,2-3,5-", "bytes=99-"}) {
    const auto reply = ask(get("/x", "Range: " + std::string(range) + "\r\n"));
    EXPECT_EQ(reply.status, 200) << range;
    EXPECT_EQ(reply.body, "GET /x [] 0") << range;
  }
  // The longest that fits a header: no stack overflow.
  std::string ranges = "bytes=0-1";
  while (ranges.size() < 8000) ranges += ",0-1";
  EXPECT_EQ(ask(get("/x", "Range: " + ranges + "\r\n")).status, 200);
  expect_refused(get("/x", "Range: " + std::string(8000, '1') + "\r\n"), 416, "malformed");
}

TEST_F(HttpServerTest, KeepsAConnectionForManyRequestsSentAtOnceOrInPieces) {
  Peer peer = connect();
  std::string many;
  for (int i = 0; i < 50; ++i) many += i % 2 == 0 ? get("/" + std::to_string(i)) : post("/p", "12");
  peer.send(many);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(peer.reply().body,
              i % 2 == 0 ? "GET /" + std::to_string(i) + " [] 0" : "POST /p [] 2");
  }
  for (const char piece : post("/pieces", "123")) peer.send(std::string(1, piece));
  EXPECT_EQ(peer.reply().body, "POST /pieces [] 3");
  peer.send(get("/last", "Connection: close\r\n"));
  EXPECT_EQ(peer.reply().body, "GET /last [] 0");
  EXPECT_TRUE(peer.is_at_end());
}

TEST_F(HttpServerTest, InvitesABodyThatWaitsToBeInvited) {
  Peer peer = connect();
  peer.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.reply().status, 100);
  peer.send("123");
  EXPECT_EQ(peer.reply().body, "POST /p [] 3");
  expect_refused("POST /p HTTP/1.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n",
                 413, "limit_exceeded");
}

TEST_F(HttpServerTest, ADefectInAHandlerIsAnAnswer) {
  const auto reply = ask(get("/throw"));
  EXPECT_EQ(reply.status, 500);
  EXPECT_TRUE(reply.body.starts_with(R"({"error":{"code":"internal")")) << reply.body;
  EXPECT_EQ(reply.body.find("defect"), std::string::npos);
}

// --- what is wrong -------------------------------------------------------------------------------

TEST_F(HttpServerTest, RefusesWhatIsNoHttp) {
  expect_refused("hello\r\n\r\n", 400, "malformed");
  expect_refused("GET /\r\n\r\n", 400, "malformed");
  expect_refused("GET / HTTP/3.0\r\n\r\n", 400, "malformed");
  expect_refused("BREW / HTTP/1.1\r\n\r\n", 400, "malformed");
  expect_refused("GET /a?b?c HTTP/1.1\r\n\r\n", 400, "malformed");
  expect_refused(std::string("\0\0\0\r\n\r\n", 7), 400, "malformed");
  EXPECT_EQ(handled_, 0);
}

TEST_F(HttpServerTest, RefusesBodiesWhoseSizeIsUnknownWrongOrTooLarge) {
  expect_refused("POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n", 411,
                 "malformed");
  expect_refused("POST /p HTTP/1.1\r\n\r\n", 411, "malformed");
  expect_refused("POST /p HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n123", 400,
                 "malformed");
  for (const char* length : {"-1", "+3", "3x", "0x3", "3, 3"}) {
    expect_refused("POST /p HTTP/1.1\r\nContent-Length: " + std::string(length) + "\r\n\r\n123",
                   400, "malformed");
  }
  for (const std::string& length :
       {std::to_string(kBodyBytesMax + 1), std::string("18446744073709551617"),
        std::string("99999999999999999999999999")}) {
    expect_refused("POST /p HTTP/1.1\r\nContent-Length: " + length + "\r\n\r\n123", 413,
                   "limit_exceeded");
  }
  expect_refused(post("/p", "123", "Content-Encoding: gzip\r\n"), 415, "unsupported");
  EXPECT_EQ(handled_, 0);
}

TEST_F(HttpServerTest, ATooLargeBodyIsRefusedThoughItIsBeingSent) {
  expect_refused(post("/p", std::string(3 * kBodyBytesMax, 'x')), 413, "limit_exceeded");
}

TEST_F(HttpServerTest, RefusesHeadersThatAreTooLarge) {
  expect_refused(get("/" + std::string(600, 'x')), 414, "limit_exceeded");
  EXPECT_EQ(ask(get("/" + std::string(511, 'x'))).status, 200);
  expect_refused(get("/x", "A: " + std::string(9000, 'x') + "\r\n"), 431, "limit_exceeded");
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "A" + std::to_string(i) + ": x\r\n";
  expect_refused(get("/x", many), 431, "limit_exceeded");
  // One that never ends.
  expect_refused(std::string(20000, 'G'), 431, "limit_exceeded");
}

// What follows a request that was not read to its end must not become a request.
TEST_F(HttpServerTest, NothingInABodyBecomesARequest) {
  const std::string hidden = get("/hidden");
  for (const std::string& request :
       {get("/x", "Content-Length: " + std::to_string(hidden.size()) + "\r\n"),
        "PUT /x HTTP/1.1\r\nContent-Length: " + std::to_string(hidden.size()) + "\r\n\r\n",
        std::string("POST /x HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"),
        std::string("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("BREW /x HTTP/1.1\r\n\r\n")}) {
    Peer peer = connect();
    peer.send(request + hidden);
    const auto reply = peer.reply();
    EXPECT_NE(reply.status, 0) << request;
    EXPECT_TRUE(reply.has("Connection: close")) << request << reply.header;
    EXPECT_EQ(reply.body.find("hidden"), std::string::npos);
    EXPECT_TRUE(peer.is_at_end()) << request;
  }
}

TEST_F(HttpServerTest, ABodyThatBreaksOffIsNoRequest) {
  Peer peer = connect();
  peer.send("POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n123");
  peer.finish_sending();
  EXPECT_EQ(peer.reply().status, 400);
  EXPECT_EQ(handled_, 0);
}

// --- what is too much ----------------------------------------------------------------------------

TEST_F(HttpServerTest, AnswersWhileEverySubmissionWaits) {
  std::vector<Peer> submitters;
  for (int i = 0; i < 80; ++i) {
    submitters.push_back(connect());
    ASSERT_TRUE(submitters.back().send(post("/wait", "1")));
  }
  wait_for_waiting(40);  // as many as may; the others wait their turn
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(get("/health")).status, 200);
  EXPECT_EQ(handled_, 60);
  let_go();
  for (Peer& peer : submitters) EXPECT_EQ(peer.reply().status, 200);
}

TEST_F(HttpServerTest, AnswersWhileSlowOnesHoldConnectionsHeadersAndBodies) {
  std::vector<Peer> slow;
  for (int i = 0; i < 400; ++i) {
    slow.push_back(connect());
    ASSERT_TRUE(slow.back().connected());
    if (i % 3 == 1) slow.back().send("GET / HTTP/1.1\r\nA: ");
    if (i % 3 == 2 && i < 100) {
      slow.back().send("POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n1");
    }
  }
  EXPECT_EQ(ask(get("/health")).status, 200);
  EXPECT_EQ(ask(post("/p", "123")).status, 200);
}

TEST_F(HttpServerTest, WhoWasRefusedAndStaysHoldsUpNobody) {
  std::vector<Peer> refused;
  for (int i = 0; i < 100; ++i) {
    refused.push_back(connect());
    refused.back().send(get("/x", "Content-Length: 100\r\n"));
    EXPECT_EQ(refused.back().reply().status, 200);  // and what would follow is dropped
  }
  EXPECT_EQ(ask(get("/health")).status, 200);
  for (Peer& peer : refused) EXPECT_TRUE(peer.is_at_end());
}

TEST_F(HttpServerTest, AReaderWhoDoesNotReadHoldsUpNobody) {
  std::vector<Peer> deaf;
  for (int i = 0; i < 20; ++i) {
    deaf.push_back(connect());
    std::string many;
    for (int k = 0; k < 8; ++k) many += get("/large");
    deaf.back().send(many);
  }
  EXPECT_EQ(ask(get("/health")).status, 200);
}

// --- the end -------------------------------------------------------------------------------------

TEST_F(HttpServerTest, StoppingFinishesWhatRunsAndClosesTheRest) {
  Peer running = connect();
  running.send(post("/wait", "1"));
  wait_for_waiting(1);
  Peer idle = connect();
  idle.send(get("/x"));
  EXPECT_EQ(idle.reply().status, 200);
  Peer in_body = connect();
  in_body.send("POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n1");
  const std::uint16_t port = listener_->port();
  auto stopped = std::async(std::launch::async, [&] { listener_.reset(); });
  EXPECT_TRUE(idle.is_at_end());
  let_go();
  EXPECT_EQ(running.reply().status, 200);
  stopped.get();
  EXPECT_NE(in_body.reply().status, 200);
  EXPECT_FALSE(Peer(port).connected());
  const int handled = handled_;
  EXPECT_EQ(handled, 2);
}

// --- addresses -----------------------------------------------------------------------------------

Result<std::unique_ptr<HttpListener>> listen(const std::string& host, std::uint16_t port) {
  return system_environment().network.serve_http(host, port, kBodyBytesMax, [](const HttpRequest&) {
    return HttpResponse{200, "text/plain", "x"};
  });
}

TEST(HttpListen, APortInUseIsSaidAndFreeAgainAfterwards) {
  auto first = listen("127.0.0.1", 0);
  ASSERT_TRUE(first.ok()) << first.error().message;
  const std::uint16_t port = (*first)->port();
  EXPECT_NE(port, 0);
  {
    Peer used(port);  // leaves a connection in TIME_WAIT behind
    used.send(get("/", "Connection: close\r\n"));
    EXPECT_EQ(used.reply().status, 200);
  }
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
    const auto second = listen(host, port);
    ASSERT_FALSE(second.ok()) << host;
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable) << second.error().message;
    EXPECT_EQ(second.error().field, "listen");
    EXPECT_NE(second.error().message.find(":" + std::to_string(port) + ": the port is in use"),
              std::string::npos)
        << second.error().message;
  }
  first->reset();
  EXPECT_TRUE(listen("127.0.0.1", port).ok());
}

TEST(HttpListen, AHostThatIsNotOursIsSaid) {
  for (const char* host : {"", "192.0.2.1", "no-such-host.invalid", "300.1.1.1", "[]"}) {
    const auto listening = listen(host, 0);
    ASSERT_FALSE(listening.ok()) << host;
    EXPECT_EQ(listening.error().code, ErrorCode::kInvalidArgument) << listening.error().message;
    EXPECT_EQ(listening.error().field, "listen");
  }
}

TEST(HttpListen, TakesIpv6) {
  const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool available =
      probe >= 0 && ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (probe >= 0) ::close(probe);
  if (!available) GTEST_SKIP() << "this machine has no IPv6";
  for (const char* host : {"::1", "[::1]"}) {
    const auto listening = listen(host, 0);
    ASSERT_TRUE(listening.ok()) << listening.error().message;
    const auto second = listen(host, (*listening)->port());
    ASSERT_FALSE(second.ok());
    EXPECT_NE(second.error().message.find("[::1]:"), std::string::npos) << second.error().message;
  }
}

// --- clock and randomness ------------------------------------------------------------------------

TEST(SystemEnvironment, HasAClockThatGoesAndRandomnessThatDiffers) {
  Environment environment = system_environment();
  EXPECT_GT(environment.clock.now_ms(), std::uint64_t{1'700'000'000'000});
  const std::uint64_t start = environment.clock.monotonic_us();
  while (environment.clock.monotonic_us() == start) std::this_thread::yield();
  EXPECT_GT(environment.clock.monotonic_us(), start);
  std::set<std::array<std::uint8_t, 16>> drawn;
  for (int i = 0; i < 100; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    environment.random.fill(bytes);
    drawn.insert(bytes);
  }
  EXPECT_EQ(drawn.size(), 100u);
  std::vector<std::uint8_t> large(1 << 20);
  environment.random.fill(large);
  EXPECT_LT(std::count(large.begin(), large.end(), 0), 1 << 13);
  environment.random.fill({});
}

}  // namespace
}  // namespace colophon::node
