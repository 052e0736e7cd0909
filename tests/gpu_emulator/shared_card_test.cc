// SPDX-License-Identifier: Apache-2.0
//
// A card between processes: each a child of the test.
#include "tests/gpu_emulator/shared_card.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace colophon::gpu_emulator {
namespace {

class SharedCardTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "card-XXXXXX";
    const int file = mkstemp(path.data());
    ASSERT_GE(file, 0);
    close(file);
    path_ = path;
  }
  void TearDown() override {
    while (!children_.empty()) end(children_.back());
    std::remove(path_.c_str());
  }

  [[nodiscard]] std::unique_ptr<SharedCard> open() const {
    Result<std::unique_ptr<SharedCard>> card = SharedCard::open(path_);
    EXPECT_TRUE(card.ok()) << card.error().message;
    return std::move(card).value();
  }
  // A process that does so, then waits to be ended.
  pid_t start(const std::function<void(SharedCard&)>& what) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t child = forked();
    if (child == 0) {
      Result<std::unique_ptr<SharedCard>> card = SharedCard::open(path_);
      const char done = card ? 'y' : 'n';
      if (card) what(**card);
      (void)!write(ready[1], &done, 1);
      for (;;) pause();
    }
    close(ready[1]);
    char done = 0;
    EXPECT_EQ(read(ready[0], &done, 1), 1);
    EXPECT_EQ(done, 'y');
    close(ready[0]);
    return child;
  }
  void end(pid_t child) {
    std::erase(children_, child);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  pid_t forked() {
    const pid_t child = fork();
    if (child < 0) std::abort();  // -1 is no child: a signal to it would go to everybody
    if (child > 0) children_.push_back(child);
    return child;
  }

  std::string path_;
  std::vector<pid_t> children_;
};

TEST_F(SharedCardTest, MemoryIsEachProcesssUntilItEnds) {
  const auto card = open();
  EXPECT_EQ(card->used_by_others(), 0U);
  card->set_used(5);
  EXPECT_EQ(card->used_by_others(), 0U);
  const pid_t first = start([](SharedCard& own) { own.set_used(100); });
  const pid_t second = start([](SharedCard& own) { own.set_used(10 + own.used_by_others()); });
  EXPECT_EQ(card->used_by_others(), 215U);
  end(first);
  EXPECT_EQ(card->used_by_others(), 115U);
  end(second);
  EXPECT_EQ(card->used_by_others(), 0U);
  // One that closes it gives its place to the next.
  for (std::size_t i = 0; i < 2 * SharedCard::kProcessesMax; ++i) (void)open();
}

TEST_F(SharedCardTest, OneHasItsTurnAtATime) {
  constexpr int kTurns = 2'000;
  const std::string counter = path_ + ".count";
  std::ofstream(counter) << 0;
  const auto count = [&counter](SharedCard& card) {
    for (int i = 0; i < kTurns; ++i) {
      const std::scoped_lock turn(card);
      int value = 0;
      std::ifstream(counter) >> value;
      std::ofstream(counter) << value + 1;
    }
  };
  // The child says that it is there, then counts.
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = forked();
  if (child == 0) {
    Result<std::unique_ptr<SharedCard>> card = SharedCard::open(path_);
    (void)!write(go[1], "y", 1);
    if (card) count(**card);
    _exit(card ? 0 : 1);
  }
  close(go[1]);
  char started = 0;
  EXPECT_EQ(read(go[0], &started, 1), 1);
  close(go[0]);
  const auto card = open();
  count(*card);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  std::erase(children_, child);
  EXPECT_EQ(status, 0);
  int value = 0;
  std::ifstream(counter) >> value;
  EXPECT_EQ(value, 2 * kTurns);
  std::remove(counter.c_str());
}

TEST_F(SharedCardTest, WhatCannotBeHadIsAnErrorThatNamesTheFile) {
  const auto missing = SharedCard::open("/nowhere/card");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(missing.error().message, "card /nowhere/card: No such file or directory");
  std::vector<std::unique_ptr<SharedCard>> all;
  for (std::size_t i = 0; i < SharedCard::kProcessesMax; ++i) all.push_back(open());
  const auto one_more = SharedCard::open(path_);
  ASSERT_FALSE(one_more.ok());
  EXPECT_EQ(one_more.error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace colophon::gpu_emulator
