// SPDX-License-Identifier: Apache-2.0
//
// Messages of any lengths in a few lanes that all do the same: each lane walks through the runs of
// blocks of its message, and takes the next message when it is done.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace colophon::kernels {
namespace {

// E has kLanes, kFewLanes, kBlockBytes, arrays at[kLanes] (where a lane's next block is) and
// blocks[kLanes] (how many lie there one after another), and
//   size(i)            of message i, in about blocks
//   begin(lane, i)     message i begins in the lane, with at least one block
//   advance(lane)      sets at and blocks to the lane's next run of blocks; false if there is none
//   end(lane)          the lane's message is done
//   run(n)             the next n blocks of every lane; an idle one's do not matter
//   run_alone(lane)    the blocks of one lane; asked for where kFewLanes or fewer are left
// message(i) is the i-th to begin, of `count`.
template <class E, class F>
void run_in_order(E& engine, size_t count, F message) {
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

// Each time a lane is done all of them stop, for about as long as a block takes: messages of one
// size stop together. The longest go first, so that the lanes left idle at the end are so for
// short.
template <class E>
void run_in_lanes(E& engine, size_t count) {
  constexpr size_t kPieceMax = 4096;
  constexpr size_t kSizes = 64;  // that much and above count as one
  uint16_t order[kPieceMax];
  for (size_t first = 0; first < count; first += kPieceMax) {
    const size_t piece = count - first < kPieceMax ? count - first : kPieceMax;
    if (piece <= E::kLanes) {
      run_in_order(engine, piece, [first](size_t i) { return first + i; });
      return;
    }
    const auto place = [&engine, first](size_t i) {
      const size_t size = engine.size(first + i);
      return kSizes - 1 - (size < kSizes ? size : kSizes - 1);
    };
    uint16_t end[kSizes] = {};
    for (size_t i = 0; i < piece; ++i) ++end[place(i)];
    for (size_t i = 1; i < kSizes; ++i) end[i] = static_cast<uint16_t>(end[i] + end[i - 1]);
    for (size_t i = piece; i-- > 0;) order[--end[place(i)]] = static_cast<uint16_t>(i);
    run_in_order(engine, piece, [first, &order](size_t i) { return first + order[i]; });
  }
}

}  // namespace
}  // namespace colophon::kernels
