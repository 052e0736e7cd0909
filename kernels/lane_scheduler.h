// SPDX-License-Identifier: Apache-2.0
//
// Messages of any lengths in a few lanes that all do the same: each lane walks through the runs of
// blocks of its message, and takes the next message when it is done.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace colophon::kernels {
namespace {

// In which order messages begin. Each time a lane is done all of them stop, for about as long as a
// block takes: where lanes are many, messages of about one size begin together, those of some in a
// row, which lie near each other in memory.
template <class E>
class LaneOrder {
 public:
  LaneOrder(const E& engine, size_t count) : engine_(engine), count_(count) {}

  // The i-th, asked for in turn.
  size_t operator()(size_t i) {
    if constexpr (E::kLanes < 8) return i;
    if (i % kWindow == 0) arrange(i);
    return i - i % kWindow + order_[i % kWindow];
  }

 private:
  static constexpr size_t kWindow = 16 * E::kLanes;
  static constexpr size_t kSizes = 64;  // that much and above count as one

  // The longest first.
  void arrange(size_t first) {
    const size_t count = count_ - first < kWindow ? count_ - first : kWindow;
    const auto place = [this, first](size_t i) {
      const size_t size = engine_.size(first + i);
      return kSizes - 1 - (size < kSizes ? size : kSizes - 1);
    };
    uint16_t end[kSizes] = {};
    for (size_t i = 0; i < count; ++i) ++end[place(i)];
    for (size_t i = 1; i < kSizes; ++i) end[i] = static_cast<uint16_t>(end[i] + end[i - 1]);
    for (size_t i = count; i-- > 0;) order_[--end[place(i)]] = static_cast<uint16_t>(i);
  }

  const E& engine_;
  const size_t count_;
  uint16_t order_[kWindow];
};

// E has kLanes, kFewLanes, kBlockBytes, arrays at[kLanes] (where a lane's next block is) and
// blocks[kLanes] (how many lie there one after another), and
//   size(i)            of message i, in about blocks
//   begin(lane, i)     message i begins in the lane, with at least one block
//   advance(lane)      sets at and blocks to the lane's next run of blocks; false if there is none
//   end(lane)          the lane's message is done
//   run(n)             the next n blocks of every lane; an idle one's do not matter
//   run_alone(lane)    the blocks of one lane; asked for where kFewLanes or fewer are left
template <class E>
void run_in_lanes(E& engine, size_t count) {
  LaneOrder<E> message(engine, count);
  bool busy[E::kLanes];
  size_t next = 0;
  unsigned busy_count = 0;
  const auto begin = [&](unsigned lane) {
    busy[lane] = next < count;
    if (!busy[lane]) return;
    engine.begin(lane, message(next++));
    ++busy_count;
  };
  for (unsigned lane = 0; lane < E::kLanes; ++lane) begin(lane);
  while (busy_count > E::kFewLanes) {
    unsigned shortest = 0;
    while (!busy[shortest]) ++shortest;
    for (unsigned lane = shortest + 1; lane < E::kLanes; ++lane) {
      if (busy[lane] && engine.blocks[lane] < engine.blocks[shortest]) shortest = lane;
    }
    const size_t n = engine.blocks[shortest];
    for (unsigned lane = 0; lane < E::kLanes; ++lane) {
      if (!busy[lane]) engine.at[lane] = engine.at[shortest];  // which it may read
    }
    engine.run(n);
    for (unsigned lane = 0; lane < E::kLanes; ++lane) {
      if (!busy[lane]) continue;
      engine.at[lane] += n * E::kBlockBytes;
      engine.blocks[lane] -= n;
      if (engine.blocks[lane] > 0 || engine.advance(lane)) continue;
      engine.end(lane);
      --busy_count;
      begin(lane);
    }
  }
  for (unsigned lane = 0; lane < E::kLanes; ++lane) {
    if (!busy[lane]) continue;
    do {
      engine.run_alone(lane);
    } while (engine.advance(lane));
    engine.end(lane);
  }
}

}  // namespace
}  // namespace colophon::kernels
