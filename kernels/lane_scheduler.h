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
//   begin(lane, i)     message i begins in the lane, with at least one block
//   advance(lane)      sets at and blocks to the lane's next run of blocks; false if there is none
//   end(lane)          the lane's message is done
//   run(n)             the next n blocks of every lane; an idle one's do not matter
//   run_alone(lane)    the blocks of one lane; asked for where kFewLanes or fewer are left
template <class E>
void run_in_lanes(E& engine, size_t count) {
  bool busy[E::kLanes];
  size_t next = 0;
  unsigned busy_count = 0;
  const auto begin = [&](unsigned lane) {
    busy[lane] = next < count;
    if (!busy[lane]) return;
    engine.begin(lane, next++);
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
