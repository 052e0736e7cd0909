// SPDX-License-Identifier: Apache-2.0
//
// The runtime's calls: registration, errors, the device, memory, kernels. Streams, events and
// graphs are in cuda_streams.cc.
#include "tests/gpu_emulator/cuda_runtime.h"

#include <cuda_occupancy.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "tests/gpu_emulator/cuda_errors.h"
#include "tests/gpu_emulator/cuda_registration.h"
#include "tests/gpu_emulator/device_properties.h"
#include "tests/gpu_emulator/runtime_call.h"

namespace colophon::gpu_emulator {
namespace {

constexpr int kRuntimeVersion = CUDART_VERSION;
constexpr int kLeastPriority = 0;
constexpr int kGreatestPriority = -5;

// --- kernels -------------------------------------------------------------------------------------

std::uint64_t threads_of(const Dim3& block) { return std::uint64_t{block.x} * block.y * block.z; }

int threads_max(const Function& entry) {
  if (entry.threads_required) return static_cast<int>(threads_of(*entry.threads_required));
  if (entry.threads_max) return static_cast<int>(threads_of(*entry.threads_max));
  return kThreadsMax;
}

cudaError_t check_shape(const cudaDeviceProp& device, const Function& entry,
                        const LaunchShape& shape) {
  const auto within = [](const Dim3& dims, const int(&max)[3]) {
    const std::uint32_t sizes[] = {dims.x, dims.y, dims.z};
    for (unsigned i = 0; i < 3; ++i) {
      if (sizes[i] == 0 || sizes[i] > static_cast<std::uint32_t>(max[i])) return false;
    }
    return true;
  };
  if (!within(shape.grid, device.maxGridSize) || !within(shape.block, device.maxThreadsDim) ||
      threads_of(shape.block) > kThreadsMax) {
    return cudaErrorInvalidConfiguration;
  }
  if (threads_of(shape.block) > static_cast<std::uint64_t>(threads_max(entry)) ||
      (entry.threads_required && shape.block != *entry.threads_required)) {
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

// What a launch may ask for beside the kernel's static shared memory.
std::uint32_t dynamic_shared_max(const cudaDeviceProp& device, const Kernel& kernel,
                                 const Context::Found& found) {
  if (kernel.dynamic_shared_max) return *kernel.dynamic_shared_max;
  const auto all = static_cast<std::uint32_t>(device.sharedMemPerBlock);
  return all - std::min(all, found.executor->static_shared_bytes(*found.entry));
}

std::vector<std::uint8_t> pack(const Function& entry, void* const* arguments) {
  std::vector<std::uint8_t> packed(entry.parameter_bytes);
  for (std::uint32_t i = 0; i < entry.parameter_count; ++i) {
    const Param& param = entry.params[i];
    std::memcpy(&packed[param.offset], arguments[i], param.bytes);
  }
  return packed;
}

cudaError_t launch(Context& context, Lock& lock, const Kernel* kernel, dim3 grid, dim3 block,
                   void** arguments, size_t shared, cudaStream_t stream) {
  constexpr std::string_view kCall = "cudaLaunchKernel";
  const std::shared_ptr<Stream> on = context.stream(kCall, stream);
  if (!on) return cudaErrorInvalidResourceHandle;
  if (kernel == nullptr) {
    context.misuse(kCall, "not a kernel that was registered");
    return cudaErrorInvalidDeviceFunction;
  }
  Context::Found found;
  if (const cudaError_t error = context.find(lock, *kernel, found); error != cudaSuccess)
    return error;
  const LaunchShape shape = {.grid = {grid.x, grid.y, grid.z},
                             .block = {block.x, block.y, block.z},
                             .dynamic_shared_bytes = static_cast<std::uint32_t>(shared)};
  const cudaDeviceProp device = device_properties(context.settings());
  if (const cudaError_t error = check_shape(device, *found.entry, shape); error != cudaSuccess) {
    return error;
  }
  if (shared > dynamic_shared_max(device, *kernel, found)) return cudaErrorInvalidValue;
  if (std::uint64_t{context.settings().registers} * ((threads_of(shape.block) + 31) / 32 * 32) >
      static_cast<std::uint64_t>(device.regsPerBlock)) {
    return cudaErrorLaunchOutOfResources;
  }
  Work work(Work::Kind::kKernel, kCall);
  work.executor = found.executor;
  work.entry = found.entry;
  work.module = found.module;
  work.shape = shape;
  work.arguments = pack(*found.entry, arguments);
  return context.submit(*on, std::move(work));
}

// --- copies --------------------------------------------------------------------------------------

DevicePointer device_pointer(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

bool is_device(const void* pointer) {
  return device_pointer(pointer) >= kGlobalWindow &&
         device_pointer(pointer) - kGlobalWindow < kSharedWindow - kGlobalWindow;
}

struct CopyCall {
  std::string_view call;
  bool waits = false;  // cudaMemcpy, not cudaMemcpyAsync
};

cudaError_t check_copy(Context& context, const CopyCall& how, void* to, const void* from,
                       size_t bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) {
    return cudaErrorInvalidMemcpyDirection;
  }
  const bool to_device = is_device(to);
  const bool from_device = is_device(from);
  if (kind != cudaMemcpyDefault) {
    const bool says_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool says_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (says_to != to_device || says_from != from_device) {
      context.misuse(how.call, "the pointers are not what the direction says");
      return cudaErrorInvalidValue;
    }
  }
  if ((to_device && !context.check_range(how.call, device_pointer(to), bytes)) ||
      (from_device && !context.check_range(how.call, device_pointer(from), bytes)) ||
      to == nullptr || from == nullptr) {
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

// "CUDA Runtime API", API synchronization behavior.
cudaError_t copy(Context& context, Lock& lock, const CopyCall& how, void* to, const void* from,
                 size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = context.stream(how.call, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (how.waits) {
    if (const cudaError_t error = context.refuse_in_capture(); error != cudaSuccess) return error;
  }
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_copy(context, how, to, from, bytes, kind);
      error != cudaSuccess) {
    return error;
  }
  Work work(Work::Kind::kMark, how.call);
  work.bytes = bytes;
  bool wait = how.waits;
  if (is_device(to) && is_device(from)) {
    work.kind = Work::Kind::kCopyOnDevice;
    work.to = device_pointer(to);
    work.from = device_pointer(from);
    wait = false;
  } else if (is_device(to)) {
    work.kind = Work::Kind::kCopyToDevice;
    work.to = device_pointer(to);
    work.host_from = from;
    if (!context.is_pinned(from, bytes) && !stream->capture) {
      if (how.waits) {
        OpPtr all;
        cudaError_t error = context.submit(*stream, Work(Work::Kind::kMark, how.call), &all);
        if (error == cudaSuccess) error = context.wait(lock, all);
        if (error != cudaSuccess) return error;
      }
      const auto* const bytes_from = static_cast<const std::uint8_t*>(from);
      work.staged = std::make_shared<std::vector<std::uint8_t>>(bytes_from, bytes_from + bytes);
      wait = false;
    }
  } else if (is_device(from)) {
    work.kind = Work::Kind::kCopyToHost;
    work.from = device_pointer(from);
    work.host_to = to;
    if (!context.is_pinned(to, bytes) && !stream->capture) wait = true;
  } else {
    if (stream->capture) return cudaErrorNotSupported;
    // From host to host: in the stream's order, and done when the call returns.
    OpPtr all;
    cudaError_t error = context.submit(*stream, Work(Work::Kind::kMark, how.call), &all);
    if (error == cudaSuccess) error = context.wait(lock, all);
    if (error == cudaSuccess) std::memmove(to, from, bytes);
    return error;
  }
  OpPtr op;
  const cudaError_t error = context.submit(*stream, std::move(work), &op);
  return error == cudaSuccess && wait ? context.wait(lock, op) : error;
}

cudaError_t set(Context& context, std::string_view call_name, void* to, int value, size_t bytes,
                cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = context.stream(call_name, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  if (!context.check_range(call_name, device_pointer(to), bytes)) return cudaErrorInvalidValue;
  Work work(Work::Kind::kSet, call_name);
  work.to = device_pointer(to);
  work.bytes = bytes;
  work.value = static_cast<std::uint8_t>(value);
  return context.submit(*stream, std::move(work));
}

// Where `offset` bytes behind the beginning of a variable are; they and `bytes` more are inside.
cudaError_t symbol_address(Context& context, Lock& lock, const void* symbol, size_t bytes,
                           size_t offset, void** out) {
  const Symbol* const known = context.table().symbol(symbol);
  if (known == nullptr) return cudaErrorInvalidSymbol;
  DeviceVariable variable;
  if (const cudaError_t error = context.find(lock, *known, variable); error != cudaSuccess)
    return error;
  if (offset > variable.bytes || bytes > variable.bytes - offset) return cudaErrorInvalidValue;
  *out = reinterpret_cast<void*>(variable.address + offset);
  return cudaSuccess;
}

cudaError_t copy_to_symbol(Context& context, Lock& lock, const CopyCall& how, const void* symbol,
                           const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind,
                           cudaStream_t stream) {
  void* to = nullptr;
  const cudaError_t error = symbol_address(context, lock, symbol, bytes, offset, &to);
  if (error != cudaSuccess) return error;
  return copy(context, lock, how, to, from, bytes, kind, stream);
}

struct CallConfiguration {
  dim3 grid;
  dim3 block;
  size_t shared;
  CUstream_st* stream;
};
thread_local std::vector<CallConfiguration> call_configurations;

// Fills `out` when there is such a kernel.
cudaError_t attributes_of(Context& context, Lock& lock, const void* function,
                          cudaFuncAttributes* out) {
  const Kernel* const kernel = context.table().kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  Context::Found found;
  if (const cudaError_t error = context.find(lock, *kernel, found); error != cudaSuccess)
    return error;
  std::memset(out, 0, sizeof(*out));
  out->sharedSizeBytes = found.executor->static_shared_bytes(*found.entry);
  out->maxThreadsPerBlock = threads_max(*found.entry);
  out->numRegs = static_cast<int>(context.settings().registers);
  out->ptxVersion =
      static_cast<int>(found.module->version_major * 10 + found.module->version_minor);
  out->binaryVersion = 90;
  out->maxDynamicSharedSizeBytes =
      static_cast<int>(dynamic_shared_max(device_properties(context.settings()), *kernel, found));
  return cudaSuccess;
}

cudaError_t occupancy(Context& context, Lock& lock, const void* function, int threads,
                      size_t shared, int* out) {
  cudaFuncAttributes attributes;
  if (const cudaError_t error = attributes_of(context, lock, function, &attributes);
      error != cudaSuccess) {
    return error;
  }
  const cudaOccDeviceProp device = device_properties(context.settings());
  const cudaOccFuncAttributes kernel = attributes;
  const cudaOccDeviceState state;
  cudaOccResult result;
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, shared) !=
      CUDA_OCC_SUCCESS) {
    return cudaErrorInvalidValue;
  }
  *out = result.activeBlocksPerMultiprocessor;
  return cudaSuccess;
}

}  // namespace
}  // namespace colophon::gpu_emulator

using namespace colophon::gpu_emulator;  // NOLINT: the calls below are all that is left

// --- registration --------------------------------------------------------------------------------

void** __cudaRegisterFatBinary(void*) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  return reinterpret_cast<void**>(context.table().add_binary());
}

void __cudaRegisterFatBinaryEnd(void**) {}

// Called when the process ends, and then there is no device any more.
void __cudaUnregisterFatBinary(void** handle) {
  Context& context = Context::get();
  if (!context.unload()) return;
  const Lock lock = context.lock();
  context.table().remove_binary(reinterpret_cast<FatBinary*>(handle));
}

void __cudaRegisterFunction(void** handle, const char* host_function, char*,
                            const char* device_name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  context.table().add_kernel(reinterpret_cast<FatBinary*>(handle), host_function, device_name);
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* device_name, int,
                       size_t, int, int) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  context.table().add_symbol(reinterpret_cast<FatBinary*>(handle), host_variable, device_name);
}

char __cudaInitModule(void**) { return 1; }

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st* stream) {
  call_configurations.push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (call_configurations.empty()) return cudaErrorMissingConfiguration;
  const CallConfiguration& last = call_configurations.back();
  *grid = last.grid;
  *block = last.block;
  *shared = last.shared;
  *static_cast<CUstream_st**>(stream) = last.stream;
  call_configurations.pop_back();
  return cudaSuccess;
}

// Asked once for each kernel, at its first launch; so it must not fail for what may pass.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  *kernel = reinterpret_cast<cudaKernel_t>(context.table().kernel(host_function));
  return *kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return call("cudaLaunchKernel", [&](Context& context, Lock& lock) {
    return launch(context, lock, context.table().from_handle(kernel), grid, block, arguments,
                  shared, stream);
  });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return call("cudaLaunchKernel", [&](Context& context, Lock& lock) {
    return launch(context, lock, context.table().kernel(function), grid, block, arguments, shared,
                  stream);
  });
}

// --- errors and versions -------------------------------------------------------------------------

cudaError_t cudaPeekAtLastError() {
  Context& context = Context::get();
  if (const cudaError_t error = context.enter_uncounted(); error != cudaSuccess) return error;
  const Lock lock = context.lock();
  if (context.broken() != cudaSuccess) return context.broken();
  return last_error.generation == context.generation() ? last_error.error : cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error.error = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) { return error_name(error); }

const char* cudaGetErrorString(cudaError_t error) { return error_text(error); }

cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return cudaErrorInvalidValue;
  Context& context = Context::get();
  const Lock lock = context.lock();
  *version = static_cast<int>(context.settings().driver);
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return cudaErrorInvalidValue;
  *version = kRuntimeVersion;
  return cudaSuccess;
}

// --- the device ----------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", [&](Context&, Lock&) {
    *count = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", [&](Context&, Lock&) {
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice",
              [&](Context&, Lock&) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return call("cudaInitDevice",
              [&](Context&, Lock&) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", [&](Context& context, Lock&) {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (device != 0) return cudaErrorInvalidDevice;
    *properties = device_properties(context.settings());
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call("cudaDeviceGetAttribute", [&](Context& context, Lock&) {
    if (device != 0) return cudaErrorInvalidDevice;
    const cudaDeviceProp properties = device_properties(context.settings());
    if (value != nullptr && device_attribute(properties, attribute, *value)) return cudaSuccess;
    context.misuse("cudaDeviceGetAttribute",
                   "attribute " + std::to_string(attribute) + " is not emulated");
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int bytes, int device) {
  return call("cudaDeviceGetPCIBusId", [&](Context&, Lock&) {
    if (device != 0) return cudaErrorInvalidDevice;
    if (id == nullptr || bytes < 13) return cudaErrorInvalidValue;
    std::memcpy(id, "0000:00:00.0", 13);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return call("cudaDeviceGetStreamPriorityRange", [&](Context&, Lock&) {
    if (least != nullptr) *least = kLeastPriority;
    if (greatest != nullptr) *greatest = kGreatestPriority;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [&](Context& context, Lock& lock) {
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? context.wait_for_all(lock) : error;
  });
}

cudaError_t cudaDeviceReset() {
  return call("cudaDeviceReset", [&](Context& context, Lock& lock) {
    context.reset(lock);
    return cudaSuccess;
  });
}

// --- memory --------------------------------------------------------------------------------------

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call("cudaMemGetInfo", [&](Context& context, Lock&) {
    if (free == nullptr || total == nullptr) return cudaErrorInvalidValue;
    *free = context.free_bytes();
    *total = context.settings().memory_bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaMalloc(void** out, size_t bytes) {
  return call("cudaMalloc", [&](Context& context, Lock& lock) {
    if (out == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t error = context.refuse_in_capture(); error != cudaSuccess) return error;
    DevicePointer base = 0;
    const cudaError_t error = bytes == 0 ? cudaSuccess : context.allocate(lock, bytes, false, base);
    if (error == cudaSuccess) *out = reinterpret_cast<void*>(base);
    return error;
  });
}

cudaError_t cudaMallocAsync(void** out, size_t bytes, cudaStream_t stream) {
  constexpr const char* kCall = "cudaMallocAsync";
  return call("cudaMallocAsync", [&](Context& context, Lock& lock) {
    if (out == nullptr || bytes == 0) return cudaErrorInvalidValue;
    const std::shared_ptr<Stream> on = context.stream(kCall, stream);
    if (!on) return cudaErrorInvalidResourceHandle;
    DevicePointer base = 0;
    if (const cudaError_t error = context.allocate(lock, bytes, true, base); error != cudaSuccess) {
      return error;
    }
    Work work(Work::Kind::kAllocate, kCall);
    work.to = base;
    work.bytes = bytes;
    const cudaError_t error = context.submit(*on, std::move(work));
    if (error == cudaSuccess) {
      *out = reinterpret_cast<void*>(base);
    } else {
      context.discard(base);
    }
    return error;
  });
}

cudaError_t cudaFree(void* pointer) {
  return call("cudaFree", [&](Context& context, Lock& lock) {
    if (pointer == nullptr) return cudaSuccess;
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? context.free(lock, device_pointer(pointer)) : error;
  });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  constexpr const char* kCall = "cudaFreeAsync";
  return call("cudaFreeAsync", [&](Context& context, Lock&) {
    const std::shared_ptr<Stream> on = context.stream(kCall, stream);
    if (!on) return cudaErrorInvalidResourceHandle;
    Context::Allocated* const allocation = context.allocated(device_pointer(pointer));
    if (allocation == nullptr || allocation->freeing) {
      context.misuse(kCall, "not the address of an allocation, or freed before");
      return cudaErrorInvalidValue;
    }
    Work work(Work::Kind::kFree, kCall);
    work.to = device_pointer(pointer);
    work.bytes = allocation->bytes;
    const cudaError_t error = context.submit(*on, std::move(work));
    if (error == cudaSuccess) allocation->freeing = true;
    return error;
  });
}

cudaError_t cudaHostAlloc(void** out, size_t bytes, unsigned flags) {
  return call("cudaHostAlloc", [&](Context& context, Lock&) {
    constexpr unsigned kKnown = cudaHostAllocPortable | cudaHostAllocWriteCombined;
    if (out == nullptr) return cudaErrorInvalidValue;
    if ((flags & ~kKnown) != 0) return cudaErrorNotSupported;  // cudaHostAllocMapped
    if (const cudaError_t error = context.refuse_in_capture(); error != cudaSuccess) return error;
    if (bytes == 0) {
      *out = nullptr;
      return cudaSuccess;
    }
    return context.allocate_pinned(bytes, out);
  });
}

cudaError_t cudaMallocHost(void** out, size_t bytes) {
  return call("cudaMallocHost", [&](Context& context, Lock&) {
    if (out == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t error = context.refuse_in_capture(); error != cudaSuccess) return error;
    if (bytes == 0) {
      *out = nullptr;
      return cudaSuccess;
    }
    return context.allocate_pinned(bytes, out);
  });
}

cudaError_t cudaFreeHost(void* pointer) {
  return call("cudaFreeHost", [&](Context& context, Lock& lock) {
    if (pointer == nullptr) return cudaSuccess;
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? context.release_pinned(lock, pointer, true) : error;
  });
}

cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
  return call("cudaHostRegister", [&](Context& context, Lock&) {
    if (pointer == nullptr || bytes == 0) return cudaErrorInvalidValue;
    if ((flags & ~unsigned{cudaHostRegisterPortable}) != 0) return cudaErrorNotSupported;
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? context.register_pinned(pointer, bytes) : error;
  });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return call("cudaHostUnregister", [&](Context& context, Lock& lock) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? context.release_pinned(lock, pointer, false) : error;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return call("cudaMemcpy", [&](Context& context, Lock& lock) {
    return copy(context, lock, {"cudaMemcpy", true}, to, from, bytes, kind, nullptr);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", [&](Context& context, Lock& lock) {
    return copy(context, lock, {"cudaMemcpyAsync", false}, to, from, bytes, kind, stream);
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset,
                               cudaMemcpyKind kind) {
  return call("cudaMemcpyToSymbol", [&](Context& context, Lock& lock) {
    return copy_to_symbol(context, lock, {"cudaMemcpyToSymbol", true}, symbol, from, bytes, offset,
                          kind, nullptr);
  });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes,
                                    size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return call("cudaMemcpyToSymbolAsync", [&](Context& context, Lock& lock) {
    return copy_to_symbol(context, lock, {"cudaMemcpyToSymbolAsync", false}, symbol, from, bytes,
                          offset, kind, stream);
  });
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset,
                                 cudaMemcpyKind kind) {
  return call("cudaMemcpyFromSymbol", [&](Context& context, Lock& lock) {
    void* from = nullptr;
    const cudaError_t error = symbol_address(context, lock, symbol, bytes, offset, &from);
    if (error != cudaSuccess) return error;
    return copy(context, lock, {"cudaMemcpyFromSymbol", true}, to, from, bytes, kind, nullptr);
  });
}

cudaError_t cudaGetSymbolAddress(void** out, const void* symbol) {
  return call("cudaGetSymbolAddress", [&](Context& context, Lock& lock) {
    return symbol_address(context, lock, symbol, 0, 0, out);
  });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return call("cudaMemset", [&](Context& context, Lock&) {
    const cudaError_t error = context.refuse_in_capture();
    return error == cudaSuccess ? set(context, "cudaMemset", to, value, bytes, nullptr) : error;
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", [&](Context& context, Lock&) {
    return set(context, "cudaMemsetAsync", to, value, bytes, stream);
  });
}

// --- kernels -------------------------------------------------------------------------------------

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return call("cudaFuncGetAttributes", [&](Context& context, Lock& lock) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    return attributes_of(context, lock, function, attributes);
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return call("cudaFuncSetAttribute", [&](Context& context, Lock& lock) {
    Kernel* const kernel = context.table().kernel(function);
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;  // a hint
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaErrorNotSupported;
    Context::Found found;
    if (const cudaError_t error = context.find(lock, *kernel, found); error != cudaSuccess)
      return error;
    if (value < 0 ||
        static_cast<std::uint64_t>(value) + found.executor->static_shared_bytes(*found.entry) >
            kSharedBytesMax) {
      return cudaErrorInvalidValue;
    }
    kernel->dynamic_shared_max = static_cast<std::uint32_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks,
                                                                   const void* function,
                                                                   int threads, size_t shared,
                                                                   unsigned) {
  return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&](Context& context, Lock& lock) {
    if (blocks == nullptr) return cudaErrorInvalidValue;
    return occupancy(context, lock, function, threads, shared, blocks);
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared,
                                                                cudaOccupancyDefault);
}
