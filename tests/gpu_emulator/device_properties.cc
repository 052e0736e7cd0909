// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/device_properties.h"

#include <climits>
#include <cstdio>
#include <cstring>

#include "tests/gpu_emulator/ptx_executor.h"

namespace colophon::gpu_emulator {

cudaDeviceProp device_properties(const Settings& settings) {
  cudaDeviceProp device;
  std::memset(&device, 0, sizeof(device));
  std::snprintf(device.name, sizeof(device.name), "Colophon GPU emulator");
  std::memcpy(device.uuid.bytes, "colophon-gpu-0", 14);
  device.totalGlobalMem = settings.memory_bytes;
  device.sharedMemPerBlock = 48 * 1024;
  device.regsPerBlock = 65536;
  device.warpSize = 32;
  device.memPitch = INT_MAX;
  device.maxThreadsPerBlock = kThreadsMax;
  device.maxThreadsDim[0] = 1024;
  device.maxThreadsDim[1] = 1024;
  device.maxThreadsDim[2] = 64;
  device.maxGridSize[0] = INT_MAX;
  device.maxGridSize[1] = 65535;
  device.maxGridSize[2] = 65535;
  device.totalConstMem = 64 * 1024;
  device.major = 9;
  device.minor = 0;
  device.textureAlignment = 512;
  device.multiProcessorCount = static_cast<int>(settings.multiprocessors);
  device.concurrentKernels = 1;
  device.asyncEngineCount = 3;
  device.unifiedAddressing = 1;
  device.memoryBusWidth = 5120;
  device.l2CacheSize = 50 << 20;
  device.maxThreadsPerMultiProcessor = 2048;
  device.streamPrioritiesSupported = 1;
  device.sharedMemPerMultiprocessor = 228 * 1024;
  device.regsPerMultiprocessor = 65536;
  device.sharedMemPerBlockOptin = kSharedBytesMax;
  device.maxBlocksPerMultiProcessor = 32;
  device.reservedSharedMemPerBlock = 1024;
  device.hostRegisterSupported = 1;
  device.memoryPoolsSupported = settings.memory_pools ? 1 : 0;
  return device;
}

bool device_attribute(const cudaDeviceProp& device, cudaDeviceAttr attribute, int& value) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      value = device.maxThreadsPerBlock;
      return true;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
    case cudaDevAttrMaxBlockDimZ:
      value = device.maxThreadsDim[attribute - cudaDevAttrMaxBlockDimX];
      return true;
    case cudaDevAttrMaxGridDimX:
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      value = device.maxGridSize[attribute - cudaDevAttrMaxGridDimX];
      return true;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      value = static_cast<int>(device.sharedMemPerBlock);
      return true;
    case cudaDevAttrTotalConstantMemory:
      value = static_cast<int>(device.totalConstMem);
      return true;
    case cudaDevAttrWarpSize:
      value = device.warpSize;
      return true;
    case cudaDevAttrMaxRegistersPerBlock:
      value = device.regsPerBlock;
      return true;
    case cudaDevAttrClockRate:
      value = 1'980'000;  // kHz; an H100's
      return true;
    case cudaDevAttrMemoryClockRate:
      value = 2'619'000;
      return true;
    case cudaDevAttrMultiProcessorCount:
      value = device.multiProcessorCount;
      return true;
    case cudaDevAttrGlobalMemoryBusWidth:
      value = device.memoryBusWidth;
      return true;
    case cudaDevAttrL2CacheSize:
      value = device.l2CacheSize;
      return true;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      value = device.maxThreadsPerMultiProcessor;
      return true;
    case cudaDevAttrAsyncEngineCount:
      value = device.asyncEngineCount;
      return true;
    case cudaDevAttrComputeCapabilityMajor:
      value = device.major;
      return true;
    case cudaDevAttrComputeCapabilityMinor:
      value = device.minor;
      return true;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      value = static_cast<int>(device.sharedMemPerMultiprocessor);
      return true;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      value = device.regsPerMultiprocessor;
      return true;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      value = static_cast<int>(device.sharedMemPerBlockOptin);
      return true;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      value = device.maxBlocksPerMultiProcessor;
      return true;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      value = static_cast<int>(device.reservedSharedMemPerBlock);
      return true;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrGpuOverlap:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrHostRegisterSupported:
      value = 1;
      return true;
    case cudaDevAttrMemoryPoolsSupported:
      value = device.memoryPoolsSupported;
      return true;
    case cudaDevAttrKernelExecTimeout:
    case cudaDevAttrIntegrated:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrComputeMode:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrPciBusId:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrCanUseHostPointerForRegisteredMem:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrClusterLaunch:
      value = 0;
      return true;
    default:
      return false;
  }
}

}  // namespace colophon::gpu_emulator
