// SPDX-License-Identifier: Apache-2.0
//
// One call's work on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "colophon/error.hpp"

namespace colophon {

// Of at most `threads`, 1 or more: those that gain by sharing `items`, of which fewer than
// `items_min` are not worth starting one.
inline std::size_t useful_threads(std::size_t items, std::size_t items_min, unsigned threads) {
  return std::clamp<std::size_t>(items / items_min, 1, threads);
}

// Runs work(0) … work(count - 1), each on a thread of its own, the first on the caller's; fewer
// where the system gives no more threads, so that they must share what there is to do, not own it.
// Returns when all have; what one of them throws is thrown here.
template <class Work>
void run_on_threads(std::size_t count, const Work& work) {
  if (count == 1) return work(0);
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto run = [&](std::size_t i) {
    try {
      work(i);
    } catch (...) {
      const std::scoped_lock guard(mutex);
      thrown = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;  // joined whichever way this is left
    try {
      for (std::size_t i = 1; i < count; ++i) others.emplace_back([&run, i] { run(i); });
    } catch (const std::exception&) {
      // No more threads to be had: those there are do it all.
    }
    run(0);
  }
  if (thrown) std::rethrow_exception(thrown);
}

// work(0) … work(count - 1), each once, on up to `threads`. The first error is the call's, and what
// has not begun by then is left out.
template <class Work>
Result<void> share_out(std::size_t count, unsigned threads, const Work& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  Result<void> outcome;
  run_on_threads(useful_threads(count, 1, threads), [&](std::size_t) {
    for (std::size_t i = next++; i < count; i = next++) {
      Result<void> done = work(i);
      if (done) continue;
      next = count;
      const std::scoped_lock guard(mutex);
      if (outcome) outcome = std::move(done);
    }
  });
  return outcome;
}

}  // namespace colophon
