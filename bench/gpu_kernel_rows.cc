// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/gpu_resident.h"
#include "bench/gpu_rows.h"
#include "kernels/ecdsa.h"

namespace colophon::bench {
namespace {

// Beside the tables, for whatever the driver needs.
constexpr std::size_t kMemoryToSpare = std::size_t{512} << 20;

struct DeviceTables {
  std::vector<std::shared_ptr<void>> keys;
  std::shared_ptr<void> generator;
};

std::string gigabytes(std::size_t bytes) {
  return std::to_string((bytes + 999'999'999) / 1'000'000'000) + " GB";
}

Result<DeviceTables> make_tables(const GpuSignatures& signatures, unsigned bits,
                                 unsigned generator_bits, CudaSession& session) {
  std::vector<P256Build> builds(1);
  COLOPHON_TRY(session.make_tables(builds, generator_bits));
  DeviceTables tables;
  tables.generator = builds[0].memory;
  builds.clear();
  for (std::size_t k = 0; bits != 0 && k < signatures.key_count; ++k) {
    builds.push_back({signatures.points.at(k)});
  }
  for (std::size_t at = 0; at < builds.size(); at += CudaSession::kTablesAtOnce) {
    const std::size_t count = std::min(CudaSession::kTablesAtOnce, builds.size() - at);
    COLOPHON_TRY(session.make_tables(std::span(builds).subspan(at, count), bits));
  }
  for (P256Build& build : builds) tables.keys.push_back(std::move(build.memory));
  const auto is_missing = [](const auto& table) { return table == nullptr; };
  if (is_missing(tables.generator) ||
      std::any_of(tables.keys.begin(), tables.keys.end(), is_missing)) {
    return make_error(ErrorCode::kLimitExceeded, "no memory left for tables");
  }
  return tables;
}

// What was too large for this device is no failure of it.
void say(const std::string& what, const Error& error, GpuReport& report) {
  if (error.code == ErrorCode::kLimitExceeded) {
    report.skip(what, error.message);
  } else {
    report.fail(what, error.message);
  }
}

Result<std::unique_ptr<ResidentBatch>> make_resident(const GpuSignatures& signatures, unsigned bits,
                                                     unsigned generator_bits,
                                                     const DeviceTables& tables) {
  ResidentBatch::Tables addresses;
  for (const auto& table : tables.keys) {
    addresses.keys.push_back(reinterpret_cast<std::uint64_t>(table.get()));
  }
  addresses.key_bits = bits;
  addresses.generator = tables.generator.get();
  addresses.generator_bits = generator_bits;
  return ResidentBatch::make(signatures, std::move(addresses));
}

Result<void> check(const std::vector<std::uint8_t>& verdicts) {
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i] != (GpuSignatures::is_valid(i) ? 1 : 0)) {
      return make_error(ErrorCode::kInternal, "verdict " + std::to_string(i) + " is wrong");
    }
  }
  return {};
}

Result<std::vector<double>> rates(const GpuPlan& plan, ResidentBatch& batch,
                                  const ResidentBatch::Form& form) {
  COLOPHON_TRY(batch.seconds(form, 1));  // code and memory are there
  COLOPHON_TRY_ASSIGN(const double once, batch.seconds(form, 1));
  const auto passes =
      static_cast<std::size_t>(std::max(1.0, std::ceil(plan.launch_seconds / once)));
  std::vector<double> found;
  for (std::size_t i = 0; i < plan.repetitions; ++i) {
    COLOPHON_TRY_ASSIGN(const double seconds, batch.seconds(form, passes));
    COLOPHON_TRY_ASSIGN(const auto verdicts, batch.verdicts(form.count));
    COLOPHON_TRY(check(verdicts));
    found.push_back(static_cast<double>(form.count) / seconds);
  }
  return found;
}

void add_row(const GpuPlan& plan, ResidentBatch& batch, GpuRow row, GpuReport& report) {
  row.measure = "kernel";
  row.backend = "cuda";
  row.unit = "verifications/s";
  auto found = rates(plan, batch, {row.batch, row.lanes});
  if (!found) {
    return report.fail(row.job + ", kernel, " + std::to_string(row.keys) + " keys, " +
                           std::to_string(row.bits) + " bits, batch " + std::to_string(row.batch),
                       found.error().message);
  }
  set_figures(row, *std::move(found));
  report.add(std::move(row));
}

// Whether so much can be had, or what the report says of it.
Result<void> has_room(std::size_t bytes) {
  std::size_t free = 0;
  std::size_t total = 0;
  COLOPHON_TRY(cuda(cudaDeviceSynchronize(), "the device"));
  COLOPHON_TRY(cuda(cudaMemGetInfo(&free, &total), "memory of the device"));
  if (bytes + kMemoryToSpare <= free) return {};
  return make_error(
      ErrorCode::kLimitExceeded,
      "takes " + gigabytes(bytes) + " of memory, of which " + gigabytes(free) + " are free");
}

// From pinned memory and back, once; as lib/cuda_backend.cc fills a slot.
Result<void> through_slot(CudaSlot& slot, P256CudaJob job, const GpuSignatures& signatures,
                          const DeviceTables& tables) {
  using kernels::P256CudaKey;
  using kernels::P256CudaSignature;
  P256CudaKey* const keys = slot.keys(job.count);
  for (std::uint32_t i = 0; i < job.count; ++i) {
    P256CudaSignature& signature = slot.signatures()[i];
    std::memcpy(signature.r, signatures.r_and_s.at(i), sizeof(signature.r) + sizeof(signature.s));
    std::memcpy(signature.e, signatures.digests.at(i), sizeof(signature.e));
    signature.key = i;
    const std::size_t k = i % signatures.key_count;
    std::memcpy(keys[i].x, signatures.points.at(k), sizeof(keys[i].x) + sizeof(keys[i].y));
    keys[i].table = reinterpret_cast<std::uint64_t>(tables.keys[k].get());
  }
  COLOPHON_TRY(slot.start(job));
  COLOPHON_TRY_ASSIGN(const std::uint8_t* const verdicts, slot.finish());
  return check({verdicts, verdicts + job.count});
}

Result<std::vector<double>> times(const GpuPlan& plan, CudaSlot& slot, const P256CudaJob& job,
                                  const GpuSignatures& signatures, const DeviceTables& tables) {
  COLOPHON_TRY(through_slot(slot, job, signatures, tables));  // the graph is made
  std::vector<double> found;
  for (std::size_t i = 0; i < plan.latency_samples; ++i) {
    const auto start = std::chrono::steady_clock::now();
    COLOPHON_TRY(through_slot(slot, job, signatures, tables));
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    found.push_back(took.count());
  }
  return found;
}

void add_slot_rows(const GpuPlan& plan, const GpuSignatures& signatures, unsigned bits,
                   const DeviceTables& tables, CudaSession& session, GpuReport& report) {
  CudaSlot* const slot = session.take_slot(/*wait=*/true);
  if (slot == nullptr) return report.fail("slots", session.failure().message);
  for (const std::size_t batch : plan.latency_batches) {
    P256CudaJob chosen;
    chosen.count = static_cast<std::uint32_t>(batch);
    chosen.key_bits = bits;
    session.choose_shape(chosen);
    for (const std::uint32_t lanes : plan.split_lanes) {
      P256CudaJob job;
      job.count = job.key_count = static_cast<std::uint32_t>(batch);
      job.key_bits = bits;
      job.generator = tables.generator.get();
      job.generator_bits = plan.generator_bits;
      job.lanes = lanes;
      GpuRow row{.job = "p256-latency",
                 .measure = "slot",
                 .backend = "cuda",
                 .keys = signatures.key_count,
                 .bits = bits,
                 .lanes = lanes,
                 .batch = batch};
      row.is_choice = lanes == chosen.lanes;
      row.unit = "us";
      auto found = times(plan, *slot, job, signatures, tables);
      if (!found) {
        return report.fail("p256-latency, batch " + std::to_string(batch) + ", " +
                               std::to_string(lanes) + " lanes",
                           found.error().message);
      }
      set_figures(row, *std::move(found));
      report.add(std::move(row));
    }
  }
  session.give_back(slot);
}

}  // namespace

void add_kernel_rows(const GpuPlan& plan, const GpuSignatures& signatures, CudaSession& session,
                     GpuReport& report) {
  for (const unsigned bits : plan.widths) {
    const std::string what = "p256-enrolled, kernel, " + std::to_string(signatures.key_count) +
                             " keys, " + std::to_string(bits) + " bits";
    const std::size_t bytes = signatures.key_count * CudaSession::table_bytes(bits) +
                              ResidentBatch::device_bytes(signatures, true);
    if (const Result<void> room = has_room(bytes); !room) {
      say(what, room.error(), report);
      continue;
    }
    const auto tables = make_tables(signatures, bits, plan.generator_bits, session);
    if (!tables) {
      say(what, tables.error(), report);
      continue;
    }
    const auto batch = make_resident(signatures, bits, plan.generator_bits, *tables);
    if (!batch) {
      say(what, batch.error(), report);
      continue;
    }
    for (const std::size_t size : plan.batches) {
      add_row(plan, **batch,
              {.job = "p256-enrolled", .keys = signatures.key_count, .bits = bits, .batch = size},
              report);
    }
  }
}

void add_unknown_kernel_rows(const GpuPlan& plan, const GpuSignatures& all_different,
                             CudaSession& session, GpuReport& report) {
  const std::string what = "p256-unknown, kernel";
  const Result<void> room = has_room(ResidentBatch::device_bytes(all_different, false));
  if (!room) return say(what, room.error(), report);
  const auto tables = make_tables(all_different, 0, plan.generator_bits, session);
  if (!tables) return say(what, tables.error(), report);
  const auto batch = make_resident(all_different, 0, plan.generator_bits, *tables);
  if (!batch) return say(what, batch.error(), report);
  for (const std::size_t size : plan.batches) {
    add_row(plan, **batch, {.job = "p256-unknown", .keys = size, .batch = size}, report);
  }
}

void add_split_rows(const GpuPlan& plan, const GpuSignatures& signatures, CudaSession& session,
                    GpuReport& report) {
  for (const unsigned bits : plan.split_widths) {
    const std::string what = "p256-split, " + std::to_string(bits) + " bits";
    const std::size_t bytes = signatures.key_count * CudaSession::table_bytes(bits) +
                              ResidentBatch::device_bytes(signatures, true);
    if (const Result<void> room = has_room(bytes); !room) {
      say(what, room.error(), report);
      continue;
    }
    const auto tables = make_tables(signatures, bits, plan.generator_bits, session);
    if (!tables) return say(what, tables.error(), report);
    {
      const auto batch = make_resident(signatures, bits, plan.generator_bits, *tables);
      if (!batch) return say(what, batch.error(), report);
      for (const std::size_t size : plan.split_batches) {
        for (const std::uint32_t lanes : plan.split_lanes) {
          add_row(plan, **batch,
                  {.job = "p256-split",
                   .keys = signatures.key_count,
                   .bits = bits,
                   .lanes = lanes,
                   .batch = size},
                  report);
        }
      }
    }
    add_slot_rows(plan, signatures, bits, *tables, session, report);
  }
}

}  // namespace colophon::bench
