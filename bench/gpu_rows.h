// SPDX-License-Identifier: Apache-2.0
//
// The rows of colophon_gpu_bench. Each function measures its own and checks every verdict; what
// cannot be measured is said in the report, as is what goes wrong.
#pragma once

#include <optional>

#include "bench/gpu_plan.h"
#include "bench/gpu_report.h"
#include "bench/gpu_signatures.h"
#include "colophon/backend.hpp"
#include "lib/cuda_session.h"

namespace colophon::bench {

// Launches alone. The session builds the tables.
void add_kernel_rows(const GpuPlan& plan, const GpuSignatures& signatures, CudaSession& session,
                     GpuReport& report);
void add_unknown_kernel_rows(const GpuPlan& plan, const GpuSignatures& all_different,
                             CudaSession& session, GpuReport& report);
// A few signatures by keys with tables, in the forms for throughput and for latency: launches
// alone, and from pinned memory and back through a slot of the session, as the library uses it.
void add_split_rows(const GpuPlan& plan, const GpuSignatures& signatures, CudaSession& session,
                    GpuReport& report);

// Calls of verify_batch from plain memory: a GPU with tables of all widths, a CPU with those that
// its keys earn.
void add_library_rows(const GpuPlan& plan, const GpuSignatures& signatures, const Backend& gpu,
                      GpuReport& report);
void add_cpu_rows(const GpuPlan& plan, const GpuSignatures& signatures, const Backend& cpu,
                  GpuReport& report);
// `batches`: their sizes; keys have no tables, on any backend.
void add_unknown_library_rows(const GpuPlan& plan, const GpuSignatures& all_different,
                              const std::vector<std::size_t>& batches, const Backend& backend,
                              GpuReport& report);

}  // namespace colophon::bench
