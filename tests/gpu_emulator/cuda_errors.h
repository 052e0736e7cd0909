// SPDX-License-Identifier: Apache-2.0
//
// Names and texts of the CUDA errors that the emulated runtime knows, as the toolkit's runtime has
// them (a test compares).
#pragma once

#include <driver_types.h>

#include <optional>
#include <span>
#include <string_view>

namespace colophon::gpu_emulator {

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};

[[nodiscard]] std::span<const ErrorText> error_texts();
// Both: "unrecognized error code" for one that is not known here.
[[nodiscard]] const char* error_name(cudaError_t error);
[[nodiscard]] const char* error_text(cudaError_t error);
[[nodiscard]] std::optional<cudaError_t> error_of_name(std::string_view name);

}  // namespace colophon::gpu_emulator
