// SPDX-License-Identifier: Apache-2.0
//
// The runtime's calls on streams, events and graphs.
#include <cuda_runtime_api.h>

#include <chrono>
#include <utility>

#include "tests/gpu_emulator/runtime_call.h"

using namespace colophon::gpu_emulator;  // NOLINT: what follows is outside of any namespace

namespace {

cudaError_t create_stream(Context& context, cudaStream_t* out, unsigned flags, int priority) {
  if (out == nullptr || (flags & ~unsigned{cudaStreamNonBlocking}) != 0) {
    return cudaErrorInvalidValue;
  }
  return context.create_stream(out, flags, priority);
}

cudaError_t create_event(Context& context, cudaEvent_t* out, unsigned flags) {
  constexpr unsigned kKnown = cudaEventBlockingSync | cudaEventDisableTiming;
  if (out == nullptr) return cudaErrorInvalidValue;
  if ((flags & ~kKnown) != 0) return cudaErrorNotSupported;  // cudaEventInterprocess
  auto event = std::make_shared<Event>();
  event->timed = (flags & cudaEventDisableTiming) == 0;
  *out = context.events.add(context.new_handle<cudaEvent_t>(), std::move(event));
  return cudaSuccess;
}

// What asking for an event's state returns beforehand.
cudaError_t check_event(Context& context, const std::shared_ptr<Event>& event) {
  if (!event) return cudaErrorInvalidResourceHandle;
  if (event->capture) {
    event->capture->invalid = true;
    return cudaErrorCapturedEvent;
  }
  return context.refuse_in_capture();
}

}  // namespace

// --- streams -------------------------------------------------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return call("cudaStreamCreate", [&](Context& context, Lock&) {
    return create_stream(context, stream, cudaStreamDefault, 0);
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags",
              [&](Context& context, Lock&) { return create_stream(context, stream, flags, 0); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return call("cudaStreamCreateWithPriority", [&](Context& context, Lock&) {
    return create_stream(context, stream, flags, priority);
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy",
              [&](Context& context, Lock&) { return context.destroy_stream(stream); });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call("cudaStreamSynchronize", [&](Context& context, Lock& lock) {
    const std::shared_ptr<Stream> stream = context.stream("cudaStreamSynchronize", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    const cudaError_t error = context.refuse_in_capture(stream.get());
    return error == cudaSuccess ? context.wait(lock, stream->tail) : error;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call(
      "cudaStreamQuery",
      [&](Context& context, Lock&) {
        const std::shared_ptr<Stream> stream = context.stream("cudaStreamQuery", handle);
        if (!stream) return cudaErrorInvalidResourceHandle;
        const cudaError_t error = context.refuse_in_capture(stream.get());
        if (error != cudaSuccess) return error;
        return is_done(stream->tail) ? cudaSuccess : cudaErrorNotReady;
      },
      After::kPoll);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  return call("cudaStreamWaitEvent", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaStreamWaitEvent", handle);
    const std::shared_ptr<Event> event = context.event("cudaStreamWaitEvent", event_handle);
    if (!stream || !event) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventWaitDefault) return cudaErrorNotSupported;
    return context.wait_for_event(*stream, *event);
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return call("cudaLaunchHostFunc", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaLaunchHostFunc", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (function == nullptr) return cudaErrorInvalidValue;
    Work work(Work::Kind::kHostFunction, "cudaLaunchHostFunc");
    work.function = function;
    work.data = data;
    return context.submit(*stream, std::move(work));
  });
}

// --- events --------------------------------------------------------------------------------------

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return call("cudaEventCreate", [&](Context& context, Lock&) {
    return create_event(context, event, cudaEventDefault);
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags",
              [&](Context& context, Lock&) { return create_event(context, event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", [&](Context& context, Lock&) {
    if (context.events.remove(event)) return cudaSuccess;
    context.misuse("cudaEventDestroy", "no such event, or destroyed before");
    return cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
  return call("cudaEventRecord", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaEventRecord", handle);
    const std::shared_ptr<Event> event = context.event("cudaEventRecord", event_handle);
    if (!stream || !event) return cudaErrorInvalidResourceHandle;
    return context.record(*event, *stream);
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return call("cudaEventSynchronize", [&](Context& context, Lock& lock) {
    const std::shared_ptr<Event> event = context.event("cudaEventSynchronize", handle);
    const cudaError_t error = check_event(context, event);
    return error == cudaSuccess ? context.wait(lock, event->op) : error;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return call(
      "cudaEventQuery",
      [&](Context& context, Lock&) {
        const std::shared_ptr<Event> event = context.event("cudaEventQuery", handle);
        const cudaError_t error = check_event(context, event);
        if (error != cudaSuccess) return error;
        return is_done(event->op) ? cudaSuccess : cudaErrorNotReady;
      },
      After::kPoll);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [&](Context& context, Lock&) {
    const std::shared_ptr<Event> first = context.event("cudaEventElapsedTime", start);
    const std::shared_ptr<Event> last = context.event("cudaEventElapsedTime", end);
    if (!first || !last || !first->timed || !last->timed || !first->op || !last->op) {
      return cudaErrorInvalidResourceHandle;
    }
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    if (!first->op->done || !last->op->done) return cudaErrorNotReady;
    *milliseconds =
        std::chrono::duration<float, std::milli>(last->op->ran - first->op->ran).count();
    return cudaSuccess;
  });
}

// --- graphs --------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaStreamBeginCapture", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return context.begin_capture(stream, mode);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return call("cudaStreamEndCapture", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaStreamEndCapture", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (graph == nullptr) return cudaErrorInvalidValue;
    return context.end_capture(*stream, graph);
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaStreamIsCapturing", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *status = !stream->capture           ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t handle,
                                 unsigned long long flags) {
  return call("cudaGraphInstantiate", [&](Context& context, Lock&) {
    const std::shared_ptr<Graph> graph = context.graphs.find(handle);
    if (out == nullptr || !graph) return cudaErrorInvalidValue;
    if (flags != 0) return cudaErrorNotSupported;
    auto exec = std::make_shared<GraphExec>();
    exec->nodes = graph->nodes;
    *out = context.graph_execs.add(context.new_handle<cudaGraphExec_t>(), std::move(exec));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t stream) {
  return call("cudaGraphUpload", [&](Context& context, Lock&) {
    if (!context.stream("cudaGraphUpload", stream)) return cudaErrorInvalidResourceHandle;
    return context.graph_execs.find(handle) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec_handle, cudaStream_t handle) {
  return call("cudaGraphLaunch", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> stream = context.stream("cudaGraphLaunch", handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    const std::shared_ptr<GraphExec> exec = context.graph_execs.find(exec_handle);
    if (exec) return context.launch(*exec, *stream);
    context.misuse("cudaGraphLaunch", "no such executable graph, or destroyed before");
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return call("cudaGraphExecDestroy", [&](Context& context, Lock&) {
    return context.graph_execs.remove(exec) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", [&](Context& context, Lock&) {
    return context.graphs.remove(graph) ? cudaSuccess : cudaErrorInvalidValue;
  });
}
