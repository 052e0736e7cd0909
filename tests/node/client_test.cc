// SPDX-License-Identifier: Apache-2.0
//
// The client against servers that answer well, badly, or not at all.
#include "node/client/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace colophon::node {
namespace {

using nlohmann::json;

// Reads one request a connection and writes what `answer` makes of it (nothing: a lost reply).
class RawServer {
 public:
  explicit RawServer(std::function<std::string(const std::string& request)> answer)
      : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int requests() const { return requests_; }

 private:
  void serve() {
    for (;;) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      const std::string reply = answer_(read_request(connection));
      ++requests_;
      std::size_t sent = 0;
      while (sent < reply.size()) {
        const ssize_t n =
            ::send(connection, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<std::size_t>(n);
      }
      ::close(connection);
    }
  }

  static std::string read_request(int connection) {
    std::string request;
    std::size_t wanted = std::string::npos;
    char buffer[4096];
    while (request.size() < wanted) {
      const ssize_t n = ::recv(connection, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      request.append(buffer, static_cast<std::size_t>(n));
      const std::size_t head = request.find("\r\n\r\n");
      if (wanted == std::string::npos && head != std::string::npos) {
        const std::size_t length = request.find("Content-Length: ");
        wanted = head + 4 + (length < head ? std::stoul(request.substr(length + 16)) : 0);
      }
    }
    return request;
  }

  std::function<std::string(const std::string&)> answer_;
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> requests_{0};
  std::thread thread_;
};

std::string http(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

Client client_of(const RawServer& server) { return Client::connect(server.url()).value(); }

TEST(ClientUrl, HasOneForm) {
  for (const char* url : {"http://127.0.0.1:8180", "http://localhost",
                          "http://node-1.example.org:80/", "http://[::1]:8180", "http://[::1]"}) {
    EXPECT_TRUE(Client::connect(url).ok()) << url;
  }
  for (const char* url :
       {"", "127.0.0.1:8180", "ftp://a:1", "http://", "http://:80", "http://a:", "http://a:0",
        "http://a:65536", "http://a:80x", "http://a/b", "http://a b", "http://u@a:80",
        "http://[::1", "http://[::1]x", "http://a:80/v1", "http://a\r\nX: y"}) {
    const auto client = Client::connect(url);
    ASSERT_FALSE(client.ok()) << url;
    EXPECT_EQ(client.error().code, ErrorCode::kInvalidArgument) << url;
    EXPECT_EQ(client.error().field, "--node");
  }
  EXPECT_EQ(Client::connect("https://a").error().code, ErrorCode::kUnsupported);
}

TEST(Client, ReadsAnswers) {
  const RawServer server([](const std::string& request) {
    return http(200, request.starts_with("GET /v1/x?a=1 ") ? R"({"a":1})" : R"({"b":2})");
  });
  Client client = client_of(server);
  EXPECT_EQ(client.get("/v1/x?a=1").value(), (json{{"a", 1}}));
  EXPECT_EQ(client.get_text("/v1/x?a=1").value(), R"({"a":1})");
  EXPECT_EQ(client.post("/v1/y", {{"c", 3}}).value(), (json{{"b", 2}}));
}

TEST(Client, TurnsTheNodesErrorsBackIntoErrors) {
  const RawServer server([](const std::string&) {
    return http(409,
                R"({"error":{"code":"already_exists","message":"there already","field":"id"}})");
  });
  const auto answer = client_of(server).get("/");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(answer.error().message, "there already");
  EXPECT_EQ(answer.error().field, "id");
}

TEST(Client, KnowsWhatIsNoNode) {
  for (const char* body :
       {"<html>", "", R"({"error":7})", R"({"error":{"code":"not_found"}})", "[]"}) {
    const RawServer server([&](const std::string&) { return http(404, body); });
    EXPECT_EQ(client_of(server).get("/").error().code, ErrorCode::kMalformed) << body;
  }
  const RawServer html([](const std::string&) { return http(200, "<html>"); });
  EXPECT_EQ(client_of(html).get("/").error().code, ErrorCode::kMalformed);
  const RawServer noise([](const std::string&) { return std::string("SSH-2.0-x\r\n"); });
  EXPECT_EQ(client_of(noise).get("/").error().code, ErrorCode::kUnavailable);
}

// A hundred thousand brackets would end the JSON library's stack.
TEST(Client, RefusesRepliesNestedDeep) {
  const std::string deep = "{\"id\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  for (const int status : {200, 404}) {
    const RawServer server([&](const std::string&) { return http(status, deep); });
    EXPECT_EQ(client_of(server).get("/").error().code, ErrorCode::kMalformed) << status;
  }
}

TEST(Client, SaysWhatToDoWhenNoNodeIsThere) {
  std::string url;
  {
    const RawServer server([](const std::string&) { return std::string(); });
    url = server.url();  // a port that nobody listens on once the server is gone
  }
  const auto answer = Client::connect(url).value().post("/", {{"a", 1}});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(answer.error().message.find("colophon node start"), std::string::npos);
}

TEST(Client, StopsReadingAReplyThatIsTooLong) {
  const RawServer server(
      [](const std::string&) { return http(200, std::string(Client::kReplyBytesMax + 1, ' ')); });
  EXPECT_EQ(client_of(server).get("/").error().code, ErrorCode::kLimitExceeded);
}

TEST(Client, ALostReplyIsUnknownForAPostAndNotForAGet) {
  const RawServer server([](const std::string&) { return std::string(); });
  EXPECT_EQ(client_of(server).post("/", {{"a", 1}}).error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(client_of(server).get("/").error().code, ErrorCode::kUnavailable);
}

TEST(Client, AReplyCutShortIsLost) {
  const RawServer server([](const std::string&) {
    const std::string whole = http(200, R"({"results":[]})");
    return whole.substr(0, whole.size() - 3);
  });
  EXPECT_EQ(client_of(server).post("/", {{"a", 1}}).error().code, ErrorCode::kOutcomeUnknown);
}

TEST(ClientSubmit, PairsOutcomesWithTransactions) {
  const RawServer server([](const std::string& request) {
    EXPECT_NE(request.find(R"({"transactions":["YQ==","Yg=="]})"), std::string::npos) << request;
    return http(200, R"({"results":[{"block_height":1},)"
                     R"({"error":{"code":"expired","message":"late","field":""}}]})");
  });
  const auto outcomes = client_of(server).submit({"a", "b"}, {Digest{}, Digest{}});
  ASSERT_TRUE(outcomes.ok()) << outcomes.error().message;
  EXPECT_EQ((*outcomes)[0].value().at("block_height"), 1);
  EXPECT_EQ((*outcomes)[1].error().code, ErrorCode::kExpired);
}

TEST(ClientSubmit, ARefusedRequestIsAnError) {
  const RawServer server([](const std::string&) {
    return http(503, R"({"error":{"code":"unavailable","message":"queue full","field":""}})");
  });
  EXPECT_EQ(client_of(server).submit({"a"}, {Digest{}}).error().code, ErrorCode::kUnavailable);
}

TEST(ClientSubmit, AWrongNumberOfResultsSettlesNothing) {
  for (const char* body : {R"({"results":[]})", R"({"results":{}})", R"({})", "[]"}) {
    const RawServer server([&](const std::string&) { return http(200, body); });
    EXPECT_EQ(client_of(server).submit({"a"}, {Digest{}}).error().code, ErrorCode::kOutcomeUnknown);
  }
}

// The reply to the submission is lost; the node then knows the first transaction and not the
// second.
TEST(ClientSubmit, AsksAfterALostReplyAndNeverSendsTwice) {
  Digest first{}, second{};
  first.fill(0xaa);
  second.fill(0xbb);
  std::atomic<int> posts = 0;
  const RawServer server([&](const std::string& request) {
    if (request.starts_with("POST")) {
      ++posts;
      return std::string();
    }
    if (request.starts_with("GET /v1/transactions/" + std::string(64, 'a') + " ")) {
      return http(200, R"({"block_height":7})");
    }
    return http(404, R"({"error":{"code":"not_found","message":"unknown","field":"id"}})");
  });
  const auto outcomes = client_of(server).submit({"a", "b"}, {first, second});
  ASSERT_TRUE(outcomes.ok());
  EXPECT_EQ((*outcomes)[0].value().at("block_height"), 7);
  EXPECT_EQ((*outcomes)[1].error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_NE((*outcomes)[1].error().message.find(std::string(64, 'b')), std::string::npos);
  EXPECT_EQ(posts, 1);
}

}  // namespace
}  // namespace colophon::node
