// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/cuda_errors.h"

#include <algorithm>
#include <iterator>

namespace colophon::gpu_emulator {
namespace {

#define COLOPHON_CUDA_ERROR(name, text) \
  { name, #name, text }
constexpr ErrorText kErrors[] = {
    COLOPHON_CUDA_ERROR(cudaSuccess, "no error"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidValue, "invalid argument"),
    COLOPHON_CUDA_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    COLOPHON_CUDA_ERROR(cudaErrorInitializationError, "initialization error"),
    COLOPHON_CUDA_ERROR(cudaErrorCudartUnloading, "driver shutting down"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidSymbol, "invalid device symbol"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidHostPointer, "invalid host pointer"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidDevicePointer, "invalid device pointer"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    COLOPHON_CUDA_ERROR(cudaErrorInsufficientDriver,
                        "CUDA driver version is insufficient for CUDA runtime version"),
    COLOPHON_CUDA_ERROR(cudaErrorDevicesUnavailable,
                        "CUDA-capable device(s) is/are busy or unavailable"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    COLOPHON_CUDA_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidKernelImage, "device kernel image is invalid"),
    COLOPHON_CUDA_ERROR(cudaErrorDeviceUninitialized, "invalid device context"),
    COLOPHON_CUDA_ERROR(cudaErrorNoKernelImageForDevice,
                        "no kernel image is available for execution on the device"),
    COLOPHON_CUDA_ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidPtx, "a PTX JIT compilation failed"),
    COLOPHON_CUDA_ERROR(cudaErrorUnsupportedPtxVersion,
                        "the provided PTX was compiled with an unsupported toolchain."),
    COLOPHON_CUDA_ERROR(cudaErrorContained,
                        "Invalid access of peer GPU memory over nvlink or a hardware error"),
    COLOPHON_CUDA_ERROR(cudaErrorOperatingSystem,
                        "OS call failed or operation not supported on this OS"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    COLOPHON_CUDA_ERROR(cudaErrorIllegalState,
                        "the operation cannot be performed in the present state"),
    COLOPHON_CUDA_ERROR(cudaErrorSymbolNotFound, "named symbol not found"),
    COLOPHON_CUDA_ERROR(cudaErrorNotReady, "device not ready"),
    COLOPHON_CUDA_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    COLOPHON_CUDA_ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    COLOPHON_CUDA_ERROR(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    COLOPHON_CUDA_ERROR(cudaErrorSetOnActiveProcess,
                        "cannot set while device is active in this process"),
    COLOPHON_CUDA_ERROR(cudaErrorContextIsDestroyed, "context is destroyed"),
    COLOPHON_CUDA_ERROR(cudaErrorAssert, "device-side assert triggered"),
    COLOPHON_CUDA_ERROR(cudaErrorHostMemoryAlreadyRegistered,
                        "part or all of the requested memory range is already mapped"),
    COLOPHON_CUDA_ERROR(cudaErrorHostMemoryNotRegistered,
                        "pointer does not correspond to a registered memory region"),
    COLOPHON_CUDA_ERROR(cudaErrorHardwareStackError, "hardware stack error"),
    COLOPHON_CUDA_ERROR(cudaErrorIllegalInstruction, "an illegal instruction was encountered"),
    COLOPHON_CUDA_ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidAddressSpace,
                        "operation not supported on global/shared address space"),
    COLOPHON_CUDA_ERROR(cudaErrorInvalidPc, "invalid program counter"),
    COLOPHON_CUDA_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    COLOPHON_CUDA_ERROR(cudaErrorNotPermitted, "operation not permitted"),
    COLOPHON_CUDA_ERROR(cudaErrorNotSupported, "operation not supported"),
    COLOPHON_CUDA_ERROR(cudaErrorSystemNotReady, "system not yet initialized"),
    COLOPHON_CUDA_ERROR(cudaErrorSystemDriverMismatch,
                        "system has unsupported display driver / cuda driver combination"),
    COLOPHON_CUDA_ERROR(cudaErrorMpsConnectionFailed,
                        "MPS client failed to connect to the MPS control daemon or the MPS server"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureUnsupported,
                        "operation not permitted when stream is capturing"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureInvalidated,
                        "operation failed due to a previous error during capture"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureMerge,
                        "operation would result in a merge of separate capture sequences"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureUnmatched,
                        "capture was not ended in the same stream as it began"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureIsolation,
                        "dependency created on uncaptured work in another stream"),
    COLOPHON_CUDA_ERROR(
        cudaErrorStreamCaptureImplicit,
        "operation would make the legacy stream depend on a capturing blocking stream"),
    COLOPHON_CUDA_ERROR(cudaErrorCapturedEvent,
                        "operation not permitted on an event last recorded in a capturing stream"),
    COLOPHON_CUDA_ERROR(cudaErrorStreamCaptureWrongThread,
                        "attempt to terminate a thread-local capture sequence from another thread"),
    COLOPHON_CUDA_ERROR(cudaErrorTimeout, "wait operation timed out"),
    COLOPHON_CUDA_ERROR(cudaErrorGraphExecUpdateFailure,
                        "the graph update was not performed because it included changes which "
                        "violated constraints specific to instantiated graph update"),
    COLOPHON_CUDA_ERROR(cudaErrorUnknown, "unknown error"),
};
#undef COLOPHON_CUDA_ERROR

constexpr const char* kUnknown = "unrecognized error code";

}  // namespace

std::span<const ErrorText> error_texts() { return kErrors; }

const char* error_name(cudaError_t error) {
  const auto* const found = std::ranges::find(kErrors, error, &ErrorText::error);
  return found == std::end(kErrors) ? kUnknown : found->name;
}

const char* error_text(cudaError_t error) {
  const auto* const found = std::ranges::find(kErrors, error, &ErrorText::error);
  return found == std::end(kErrors) ? kUnknown : found->text;
}

std::optional<cudaError_t> error_of_name(std::string_view name) {
  for (const ErrorText& known : kErrors) {
    if (name == known.name) return known.error;
  }
  return std::nullopt;
}

}  // namespace colophon::gpu_emulator
