// SPDX-License-Identifier: Apache-2.0
//
// The context's streams, events, captures and graphs: what is ordered behind what.
#include <algorithm>
#include <utility>

#include "tests/gpu_emulator/context.h"

namespace colophon::gpu_emulator {
namespace {

bool holds(const std::vector<std::size_t>& nodes, std::size_t node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

// Whether all nodes come before those of `tail`, or are among them.
bool all_before(const GraphNodes& nodes, const std::vector<std::size_t>& tail) {
  std::vector<bool> reached(nodes.size());
  for (const std::size_t node : tail) reached[node] = true;
  for (std::size_t node = nodes.size(); node-- > 0;) {  // nodes come after what they wait for
    if (!reached[node]) return false;
    for (const std::size_t earlier : nodes[node].after) reached[earlier] = true;
  }
  return true;
}

}  // namespace

// --- streams -------------------------------------------------------------------------------------

std::shared_ptr<Stream> Context::stream(std::string_view call, cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return legacy_;
  if (handle == cudaStreamPerThread) {
    std::shared_ptr<Stream>& own = per_thread_[std::this_thread::get_id()];
    if (!own) own = std::make_shared<Stream>();
    return own;
  }
  const auto found = streams_.find(handle);
  if (found != streams_.end()) return found->second;
  misuse(call, "no such stream, or destroyed before");
  return nullptr;
}

cudaError_t Context::create_stream(cudaStream_t* out, unsigned flags, int priority) {
  auto made = std::make_shared<Stream>();
  made->blocking = (flags & cudaStreamNonBlocking) == 0;
  made->priority = priority;
  made->turn = queue_.random();
  *out = new_handle<cudaStream_t>();
  streams_[*out] = std::move(made);
  return cudaSuccess;
}

cudaError_t Context::destroy_stream(cudaStream_t handle) {
  const auto found = streams_.find(handle);
  if (found == streams_.end()) {
    misuse("cudaStreamDestroy", "no such stream, or destroyed before");
    return cudaErrorInvalidResourceHandle;
  }
  const std::shared_ptr<Stream> gone = found->second;
  if (gone->capture) {
    gone->capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  std::erase_if(orphans_, is_done);
  if (gone->blocking && !is_done(gone->tail)) orphans_.push_back(gone->tail);
  streams_.erase(found);
  return cudaSuccess;
}

// What the next work of a stream comes after.
std::vector<OpPtr> Context::order_of(const Stream& stream) const {
  std::vector<OpPtr> after = {stream.tail};
  if (!stream.legacy) {
    if (stream.blocking) after.push_back(legacy_->tail);
    return after;
  }
  for (const auto& [handle, other] : streams_) {
    if (other->blocking) after.push_back(other->tail);
  }
  for (const auto& [thread, other] : per_thread_) after.push_back(other->tail);
  after.insert(after.end(), orphans_.begin(), orphans_.end());
  return after;
}

bool Context::capturing_blocking_stream() {
  bool any = false;
  const auto look = [&](const Stream& stream) {
    if (!stream.blocking || !stream.capture) return;
    stream.capture->invalid = true;
    any = true;
  };
  for (const auto& [handle, other] : streams_) look(*other);
  for (const auto& [thread, other] : per_thread_) look(*other);
  return any;
}

cudaError_t Context::submit(Stream& stream, Work work, OpPtr* out) {
  if (stream.capture) {
    Capture& capture = *stream.capture;
    if (capture.invalid) return cudaErrorStreamCaptureInvalidated;
    if (work.kind == Work::Kind::kAllocate || work.kind == Work::Kind::kFree) {
      misuse(work.call, "memory nodes of graphs are not emulated");
      capture.invalid = true;
      return cudaErrorNotSupported;
    }
    capture.nodes.push_back({std::move(work), stream.capture_tail});
    stream.capture_tail = {capture.nodes.size() - 1};
    return cudaSuccess;
  }
  if (stream.legacy && capturing_blocking_stream()) return cudaErrorStreamCaptureImplicit;
  stream.turn = queue_.redrawn(stream.turn);
  stream.tail = enqueue(std::move(work), stream.turn, order_of(stream));
  if (out != nullptr) *out = stream.tail;
  return cudaSuccess;
}

cudaError_t Context::wait(Lock& lock, const OpPtr& op) {
  const cudaError_t error = queue_.wait(lock, op);
  if (lost_calls_ != 0) return lost_;
  return broken_ != cudaSuccess ? broken_ : error;
}

cudaError_t Context::wait_for_all(Lock& lock) {
  const std::vector<OpPtr> all = queue_.pending();
  for (const OpPtr& op : all) {
    if (const cudaError_t error = wait(lock, op); error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t Context::refuse_in_capture(const Stream* stream) {
  bool refused = false;
  const auto here = std::this_thread::get_id();
  for (const std::shared_ptr<Capture>& capture : captures_) {
    const bool own = stream != nullptr && stream->capture == capture;
    const bool unsafe =
        capture->mode == cudaStreamCaptureModeGlobal ||
        (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread == here);
    if (!own && !unsafe) continue;
    capture->invalid = true;
    refused = true;
  }
  return refused ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

// --- events --------------------------------------------------------------------------------------

std::shared_ptr<Event> Context::event(std::string_view call, cudaEvent_t handle) {
  std::shared_ptr<Event> found = events.find(handle);
  if (!found) misuse(call, "no such event, or destroyed before");
  return found;
}

cudaError_t Context::record(Event& event, Stream& stream) {
  if (stream.capture) {
    if (stream.capture->invalid) return cudaErrorStreamCaptureInvalidated;
    event.capture = stream.capture;
    event.capture_tail = stream.capture_tail;
    return cudaSuccess;
  }
  OpPtr op;
  const cudaError_t error = submit(stream, Work(Work::Kind::kMark, "cudaEventRecord"), &op);
  if (error != cudaSuccess) return error;
  event.op = std::move(op);
  event.capture = nullptr;
  return cudaSuccess;
}

cudaError_t Context::wait_for_event(Stream& stream, const Event& event) {
  if (event.capture) {
    if (event.capture->invalid) return cudaErrorStreamCaptureInvalidated;
    // What was captured is over: nothing of it ever runs.
    if (!holds_capture(*event.capture)) return cudaErrorCapturedEvent;
    if (stream.legacy) {
      event.capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
    if (stream.capture && stream.capture != event.capture) {
      event.capture->invalid = true;
      stream.capture->invalid = true;
      return cudaErrorStreamCaptureMerge;
    }
    if (!stream.capture) {
      stream.capture = event.capture;
      stream.capture_tail.clear();
    }
    for (const std::size_t node : event.capture_tail) {
      if (!holds(stream.capture_tail, node)) stream.capture_tail.push_back(node);
    }
    return cudaSuccess;
  }
  if (stream.capture) {
    stream.capture->invalid = true;
    return cudaErrorStreamCaptureIsolation;
  }
  if (is_done(event.op)) return cudaSuccess;
  if (stream.legacy && capturing_blocking_stream()) return cudaErrorStreamCaptureImplicit;
  std::vector<OpPtr> after = order_of(stream);
  after.push_back(event.op);
  stream.turn = queue_.redrawn(stream.turn);
  stream.tail = enqueue(Work(Work::Kind::kMark, "cudaStreamWaitEvent"), stream.turn, after);
  return cudaSuccess;
}

// --- graphs --------------------------------------------------------------------------------------

bool Context::holds_capture(const Capture& capture) const {
  return std::ranges::any_of(captures_, [&](const auto& one) { return one.get() == &capture; });
}

cudaError_t Context::begin_capture(const std::shared_ptr<Stream>& stream,
                                   cudaStreamCaptureMode mode) {
  if (stream->legacy) return cudaErrorStreamCaptureUnsupported;
  if (stream->capture) return cudaErrorIllegalState;
  auto capture = std::make_shared<Capture>();
  capture->origin = stream.get();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  stream->capture = capture;
  stream->capture_tail.clear();
  captures_.push_back(std::move(capture));
  return cudaSuccess;
}

cudaError_t Context::end_capture(Stream& stream, cudaGraph_t* out) {
  *out = nullptr;
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) return cudaErrorIllegalState;
  if (capture->origin != &stream) {
    capture->invalid = true;
    return cudaErrorStreamCaptureUnmatched;
  }
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id()) {
    return cudaErrorStreamCaptureWrongThread;
  }
  const bool joined = all_before(capture->nodes, stream.capture_tail);
  const auto leave = [&](Stream& one) {
    if (one.capture != capture) return;
    one.capture = nullptr;
    one.capture_tail.clear();
  };
  for (const auto& [handle, other] : streams_) leave(*other);
  for (const auto& [thread, other] : per_thread_) leave(*other);
  std::erase(captures_, capture);
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  auto graph = std::make_shared<Graph>();
  graph->nodes = std::move(capture->nodes);
  *out = graphs.add(new_handle<cudaGraph_t>(), std::move(graph));
  return cudaSuccess;
}

cudaError_t Context::launch(GraphExec& exec, Stream& stream) {
  if (stream.capture) {
    misuse("cudaGraphLaunch", "graphs in graphs are not emulated");
    stream.capture->invalid = true;
    return cudaErrorNotSupported;
  }
  if (stream.legacy && capturing_blocking_stream()) return cudaErrorStreamCaptureImplicit;
  std::vector<OpPtr> before = order_of(stream);
  before.push_back(exec.tail);
  std::vector<OpPtr> ops;
  for (const GraphNode& node : exec.nodes) {
    std::vector<OpPtr> after;
    for (const std::size_t earlier : node.after) after.push_back(ops[earlier]);
    ops.push_back(enqueue(node.work, queue_.random(), after.empty() ? before : after));
  }
  ops.insert(ops.end(), before.begin(), before.end());
  stream.tail = enqueue(Work(Work::Kind::kMark, "cudaGraphLaunch"), queue_.random(), ops);
  exec.tail = stream.tail;
  return cudaSuccess;
}

}  // namespace colophon::gpu_emulator
