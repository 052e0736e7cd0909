// SPDX-License-Identifier: Apache-2.0
//
// What the emulated device says of itself: compute capability 9.0 ("CUDA C++ Programming Guide",
// technical specifications), but for what Settings say.
#pragma once

#include <driver_types.h>

#include "tests/gpu_emulator/cuda_runtime.h"

namespace colophon::gpu_emulator {

[[nodiscard]] cudaDeviceProp device_properties(const Settings& settings);
// False: not emulated.
[[nodiscard]] bool device_attribute(const cudaDeviceProp& device, cudaDeviceAttr attribute,
                                    int& value);

}  // namespace colophon::gpu_emulator
