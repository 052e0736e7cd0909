// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "bench/gpu_rows.h"
#include "colophon/key_registry.hpp"
#include "colophon/verifier.hpp"
#include "lib/backend_implementation.h"
#include "lib/p256_tables.h"

namespace colophon::bench {
namespace {

using Seconds = std::chrono::duration<double>;

// Signatures of a key that earn it tables of such windows.
std::uint64_t uses_for(unsigned bits) {
  const auto& widths = P256Tables::kWidths;
  const auto at = std::find(widths.begin(), widths.end(), bits);
  return P256Tables::kUsesForWidth[static_cast<std::size_t>(at - widths.begin())];
}

// A backend at work on signatures, its keys enrolled or not.
class Caller {
 public:
  Caller(const Backend& backend, const GpuSignatures& signatures)
      : backend_(backend), signatures_(signatures), verdicts_(signatures.count) {}

  Result<void> enrol() {
    COLOPHON_TRY_ASSIGN(KeyRegistry made, KeyRegistry::create(backend_));
    registry_ = std::move(made);
    ids_.resize(signatures_.count);
    for (std::size_t i = 0; i < signatures_.count; ++i) {
      if (i >= signatures_.key_count) {
        ids_[i] = ids_[i - signatures_.key_count];
        continue;
      }
      const Slices key = signatures_.public_keys.slices(i, 1);
      COLOPHON_TRY_ASSIGN(ids_[i], registry_->add(Scheme::kEcdsaP256Sha256, key[0]));
    }
    return {};
  }

  // Seconds of a call over `count` signatures, each time the next ones. Its verdicts are checked,
  // and on a GPU, that the GPU gave them.
  Result<double> call(std::size_t count, unsigned threads) {
    if (at_ + count > signatures_.count) at_ = 0;
    VerifyBatch batch;
    batch.input = InputKind::kDigest;
    batch.threads = threads;
    batch.inputs = signatures_.digests.slices(at_, count);
    batch.signatures = signatures_.r_and_s.slices(at_, count);
    if (registry_) {
      batch.key_ids = std::span(ids_).subspan(at_, count);
      batch.registry = &*registry_;
    } else {
      batch.public_keys = signatures_.public_keys.slices(at_, count);
    }
    const auto start = std::chrono::steady_clock::now();
    COLOPHON_TRY(verify_batch(backend_, batch, std::span(verdicts_).first(count)));
    const Seconds took = std::chrono::steady_clock::now() - start;
    const std::size_t wrong = GpuSignatures::first_wrong(verdicts_, at_, count);
    if (wrong != count) {
      return make_error(ErrorCode::kInternal, "verdict " + std::to_string(wrong) + " is wrong");
    }
    at_ += count;
    const auto device = backend_.device();
    if (device && device->faults != 0) {
      return make_error(ErrorCode::kUnavailable, "the device failed: " + device->last_fault);
    }
    if (device && device->signatures_on_cpu != 0) {
      return make_error(ErrorCode::kUnavailable, "signatures were verified on the CPU");
    }
    return took.count();
  }

  // Until each key has been used so often.
  Result<void> use(std::uint64_t signatures) {
    std::uint64_t done = 0;
    while (done < signatures) {
      const auto count = std::min<std::uint64_t>(signatures_.count, signatures - done);
      COLOPHON_TRY(call(static_cast<std::size_t>(count), hardware_threads()));
      done += count;
    }
    return {};
  }

  // The narrowest that the tables in use can be.
  [[nodiscard]] unsigned bits(bool on_gpu) const {
    const TableMemory memory = backend_.table_memory();
    if (memory.tables == 0) return 0;
    unsigned found = 0;
    for (const unsigned width : P256Tables::kWidths) {
      const std::size_t bytes = on_gpu ? CudaSession::table_bytes(width)
                                       : resident_bytes(CudaSession::table_bytes(width));
      if (bytes * memory.tables <= memory.bytes) found = width;
    }
    return found;
  }

  [[nodiscard]] const Backend& backend() const { return backend_; }
  [[nodiscard]] std::size_t key_count() const { return signatures_.key_count; }

 private:
  const Backend& backend_;
  const GpuSignatures& signatures_;
  std::optional<KeyRegistry> registry_;
  std::vector<KeyId> ids_;
  std::vector<Verdict> verdicts_;
  std::size_t at_ = 0;
};

Result<std::vector<double>> rates(const GpuPlan& plan, Caller& caller, std::size_t batch,
                                  unsigned threads) {
  COLOPHON_TRY(caller.call(batch, threads));
  std::vector<double> found;
  for (std::size_t i = 0; i < plan.repetitions; ++i) {
    double seconds = 0;
    std::size_t done = 0;
    do {
      COLOPHON_TRY_ASSIGN(const double took, caller.call(batch, threads));
      seconds += took;
      done += batch;
    } while (seconds < plan.repetition_seconds);
    found.push_back(static_cast<double>(done) / seconds);
  }
  return found;
}

Result<std::vector<double>> times(const GpuPlan& plan, Caller& caller, std::size_t batch) {
  COLOPHON_TRY(caller.call(batch, 1));
  std::vector<double> found;
  for (std::size_t i = 0; i < plan.latency_samples; ++i) {
    COLOPHON_TRY_ASSIGN(const double took, caller.call(batch, 1));
    found.push_back(took * 1e6);
  }
  return found;
}

// False: it failed, and the report says so.
bool add_row(Result<std::vector<double>> found, const Caller& caller, GpuRow row,
             GpuReport& report) {
  row.measure = "library";
  row.backend = caller.backend().name();
  if (!found) {
    report.fail(row.job + ", library, " + row.backend + ", " + std::to_string(row.keys) +
                    " keys, batch " + std::to_string(row.batch),
                found.error().message);
    return false;
  }
  set_figures(row, *std::move(found));
  report.add(std::move(row));
  return true;
}

bool add_rates(const GpuPlan& plan, Caller& caller, const GpuRow& like,
               const std::vector<std::size_t>& batches, GpuReport& report) {
  std::vector<unsigned> threads = {1};
  if (hardware_threads() > 1) threads.push_back(hardware_threads());
  for (const std::size_t batch : batches) {
    for (const unsigned count : threads) {
      GpuRow row = like;
      row.batch = batch;
      row.threads = count;
      row.unit = "verifications/s";
      if (row.keys == 0) row.keys = batch;
      if (!add_row(rates(plan, caller, batch, count), caller, std::move(row), report)) return false;
    }
  }
  return true;
}

// Room for tables of this width, and for none of the next.
Result<void> hold_at(const Caller& caller, unsigned bits) {
  const std::size_t bytes = caller.key_count() * CudaSession::table_bytes(bits);
  return caller.backend().implementation().set_table_memory_max(bytes + bytes / 4);
}

// A width's rows. False: no more can be measured.
bool add_width(const GpuPlan& plan, Caller& caller, unsigned bits, GpuReport& report) {
  const std::string what = "p256-enrolled, library, " + std::to_string(caller.key_count()) +
                           " keys, " + std::to_string(bits) + " bits";
  const std::uint64_t uses = (uses_for(bits) + 1) * caller.key_count();
  if (uses > plan.warm_up_max) {
    report.skip(what, "tables of this width come after " + std::to_string(uses) + " signatures");
    return true;
  }
  if (const Result<void> held = hold_at(caller, bits); !held) {
    report.skip(what, held.error().message);
    return true;
  }
  // What a key gets is decided before a batch: one more.
  Result<void> used = caller.use(uses);
  if (used) used = caller.use(caller.key_count());
  if (!used) {
    report.fail(what, used.error().message);
    return false;
  }
  if (caller.bits(/*on_gpu=*/true) != bits) {
    report.skip(what, "tables have " + std::to_string(caller.bits(true)) + " bits");
    return true;
  }
  const GpuRow like{.job = "p256-enrolled", .keys = caller.key_count(), .bits = bits};
  if (!add_rates(plan, caller, like, plan.batches, report)) return false;
  for (const std::size_t batch : plan.latency_batches) {
    GpuRow row = like;
    row.job = "p256-latency";
    row.batch = batch;
    row.unit = "us";
    if (!add_row(times(plan, caller, batch), caller, std::move(row), report)) return false;
  }
  return true;
}

}  // namespace

void add_library_rows(const GpuPlan& plan, const GpuSignatures& signatures, const Backend& gpu,
                      GpuReport& report) {
  const std::size_t limit = gpu.table_memory().bytes_max;
  Caller caller(gpu, signatures);
  const Result<void> enrolled = caller.enrol();
  if (!enrolled) return report.fail("enrolment", enrolled.error().message);
  for (const unsigned bits : plan.widths) {
    if (!add_width(plan, caller, bits, report)) break;
  }
  (void)gpu.implementation().set_table_memory_max(limit);
}

void add_cpu_rows(const GpuPlan& plan, const GpuSignatures& signatures, const Backend& cpu,
                  GpuReport& report) {
  Caller caller(cpu, signatures);
  Result<void> ready = caller.enrol();
  if (ready && cpu.table_memory().bytes_max != 0) {
    const std::uint64_t widest = (P256Tables::kUsesForWidth.back() + 1) * signatures.key_count;
    ready = caller.use(std::min<std::uint64_t>(widest, plan.cpu_warm_up_max));
  }
  if (!ready) {
    return report.fail("p256-enrolled, " + std::string(cpu.name()), ready.error().message);
  }
  const GpuRow like{
      .job = "p256-enrolled", .keys = signatures.key_count, .bits = caller.bits(/*on_gpu=*/false)};
  if (!add_rates(plan, caller, like, {plan.cpu_batch}, report)) return;
}

void add_unknown_library_rows(const GpuPlan& plan, const GpuSignatures& all_different,
                              const std::vector<std::size_t>& batches, const Backend& backend,
                              GpuReport& report) {
  const std::size_t limit = backend.table_memory().bytes_max;
  if (limit != 0) (void)backend.implementation().set_table_memory_max(0);
  Caller caller(backend, all_different);
  (void)add_rates(plan, caller, {.job = "p256-unknown"}, batches, report);
  if (limit != 0) (void)backend.implementation().set_table_memory_max(limit);
}

}  // namespace colophon::bench
