// SPDX-License-Identifier: Apache-2.0
//
// What every call of the runtime has in common.
#pragma once

#include <driver_types.h>

#include <cstdint>
#include <utility>

#include "tests/gpu_emulator/context.h"

namespace colophon::gpu_emulator {

// Of this thread, since the last power_cycle().
struct LastError {
  std::uint64_t generation = 0;
  cudaError_t error = cudaSuccess;
};
inline thread_local LastError last_error;

inline cudaError_t remember(const Context& context, cudaError_t error) {
  if (error != cudaSuccess) last_error = {context.generation(), error};
  return error;
}

enum class After : std::uint8_t {
  kStep,
  kPoll,  // at least one piece of work runs, so that whoever asks again and again gets there
};

// `body(context, lock)` if the call may begin at all.
template <class Body>
cudaError_t call(CallName name, const Body& body, After after = After::kStep) {
  Context& context = Context::get();
  if (in_host_function()) {
    context.misuse(name.name, "called from a host function");
    return remember(context, cudaErrorNotPermitted);
  }
  if (const cudaError_t error = context.enter_uncounted(); error != cudaSuccess) return error;
  Lock lock = context.lock();
  cudaError_t error = context.enter(lock, name);
  if (error == cudaSuccess) {
    error = body(context, lock);
    context.step(lock, after == After::kPoll);
  }
  return remember(context, error);
}

}  // namespace colophon::gpu_emulator
