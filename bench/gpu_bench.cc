// SPDX-License-Identifier: Apache-2.0
//
// colophon_gpu_bench: what a GPU does for ECDSA P-256, beside the CPU it sits in. A probe of the
// device, the kernels alone, the library from plain memory, small batches in both forms; every
// row's verdicts are checked. scripts/gpu-bundle packs it for machines without a compiler.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "bench/gpu_resident.h"
#include "bench/gpu_rows.h"

namespace colophon::bench {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNoGpu = 3;

constexpr const char* kHelp =
    "usage: colophon_gpu_bench [--quick] [--json FILE]\n"
    "       colophon_gpu_bench --describe\n"
    "Measures the first GPU (CUDA_VISIBLE_DEVICES says which that is) and prints a table.\n"
    "--quick: a minute instead of many   --json: the same as JSON   --describe: the GPU alone\n"
    "Exit status: 0; 1 the GPU failed or a verdict was wrong; 2 usage; 3 there is no GPU to use\n";

std::string version_text(int version) {  // 13000 -> "13.0"
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Result<GpuDevice> describe_device() {
  GpuDevice device;
  cudaDeviceProp properties{};
  int driver = 0;
  int runtime = 0;
  std::size_t total = 0;
  std::array<char, 32> pci{};
  COLOPHON_TRY(cuda(cudaDriverGetVersion(&driver), "the driver"));
  COLOPHON_TRY(cuda(cudaRuntimeGetVersion(&runtime), "the runtime"));
  COLOPHON_TRY(cuda(cudaSetDevice(0), "the device"));
  COLOPHON_TRY(cuda(cudaGetDeviceProperties(&properties, 0), "the device's properties"));
  COLOPHON_TRY(cuda(cudaDeviceGetPCIBusId(pci.data(), pci.size(), 0), "the device's place"));
  COLOPHON_TRY(cuda(cudaMemGetInfo(&device.memory_free, &total), "the device's memory"));
  const auto megahertz = [](cudaDeviceAttr attribute) {
    int kilohertz = 0;
    if (cudaDeviceGetAttribute(&kilohertz, attribute, 0) != cudaSuccess) (void)cudaGetLastError();
    return kilohertz / 1000;
  };
  device.name = properties.name;
  device.compute_capability =
      std::to_string(properties.major) + "." + std::to_string(properties.minor);
  device.driver = version_text(driver);
  device.runtime = version_text(runtime);
  device.pci = pci.data();
  device.memory_bytes = properties.totalGlobalMem;
  device.multiprocessors = properties.multiProcessorCount;
  device.clock_megahertz = megahertz(cudaDevAttrClockRate);
  device.memory_clock_megahertz = megahertz(cudaDevAttrMemoryClockRate);
  device.is_emulated = device.name == "Colophon GPU emulator";
  return device;
}

void run_probe(const GpuPlan& plan, GpuReport& report) {
  GpuProbeSettings settings;
  if (plan.probe_steps != 0) settings.steps = plan.probe_steps;
  if (plan.probe_repetitions != 0) settings.repetitions = plan.probe_repetitions;
  if (plan.probe_gathers != 0) settings.gathers = plan.probe_gathers;
  if (plan.probe_bytes != 0) settings.copy_bytes = settings.gather_bytes = plan.probe_bytes;
  // The library has asked a stream whether it is done: CUDA keeps "not ready" as this thread's
  // error.
  (void)cudaGetLastError();
  settings.gather_bytes = std::min(settings.gather_bytes, report.device.memory_free / 2);
  if (const std::string error = probe_gpu(settings, report.probe); !error.empty()) {
    report.probe = {};
    report.fail("probe", error);
  }
}

class CudaSessionOwner {
 public:
  CudaSessionOwner() : session_(std::make_unique<CudaSession>(CudaOptions{})) {}
  CudaSessionOwner(const CudaSessionOwner&) = delete;
  CudaSessionOwner& operator=(const CudaSessionOwner&) = delete;
  // What the device may still write to has to stay.
  ~CudaSessionOwner() {
    if (!session_->close()) (void)session_.release();
  }
  [[nodiscard]] CudaSession& operator*() const { return *session_; }

 private:
  std::unique_ptr<CudaSession> session_;
};

// Of the machine's own, for the same signatures.
std::vector<Backend> cpu_backends(GpuReport& report) {
  std::vector<Backend> found;
  for (const char* name : {"avx512", "portable", "openssl"}) {
    auto backend = Backend::choose(name);
    if (backend) {
      found.push_back(*std::move(backend));
    } else {
      report.skip(name, backend.error().message);
    }
  }
  return found;
}

// Signatures are made once for all that they are used for, and are not kept: a gigabyte a million.
void measure(const GpuPlan& plan, const Backend& gpu, CudaSession& session, GpuReport& report) {
  const std::vector<Backend> cpus = cpu_backends(report);
  const std::size_t batch_max =
      std::max(*std::max_element(plan.batches.begin(), plan.batches.end()), plan.cpu_batch);
  const auto made = [&](std::size_t key_count, std::size_t count) {
    std::fprintf(stderr, "gpu_bench: making %zu signatures by %zu keys\n", count, key_count);
    auto signatures = GpuSignatures::make(key_count, count);
    if (!signatures) report.fail("signatures", signatures.error().message);
    return signatures;
  };
  for (const std::size_t key_count : plan.key_counts) {
    const auto signatures = made(key_count, std::max(batch_max, key_count));
    if (!signatures) return;
    add_kernel_rows(plan, *signatures, session, report);
    add_library_rows(plan, *signatures, gpu, report);
    if (std::find(plan.cpu_key_counts.begin(), plan.cpu_key_counts.end(), key_count) !=
        plan.cpu_key_counts.end()) {
      for (const Backend& cpu : cpus) add_cpu_rows(plan, *signatures, cpu, report);
    }
  }
  {
    const auto all_different = made(batch_max, batch_max);
    if (!all_different) return;
    add_unknown_kernel_rows(plan, *all_different, session, report);
    add_unknown_library_rows(plan, *all_different, plan.batches, gpu, report);
    for (const Backend& cpu : cpus) {
      add_unknown_library_rows(plan, *all_different, {plan.cpu_batch}, cpu, report);
    }
  }
  const std::size_t few =
      std::max(*std::max_element(plan.split_batches.begin(), plan.split_batches.end()),
               *std::max_element(plan.latency_batches.begin(), plan.latency_batches.end()));
  const auto signatures = made(plan.split_keys, few);
  if (signatures) add_split_rows(plan, *signatures, session, report);
}

// Errors have been said.
int bench(const GpuDevice& device, const Backend& gpu, bool is_quick, const std::string& json) {
  GpuReport report;
  report.device = device;
  report.is_quick = is_quick;
  const GpuPlan plan = device.is_emulated ? emulated_plan() : is_quick ? quick_plan() : GpuPlan{};
  run_probe(plan, report);
  {
    const CudaSessionOwner session;
    if (const Result<void> opened = (*session).open()) {
      measure(plan, gpu, *session, report);
    } else {
      report.fail("device", opened.error().message);
    }
  }
  report.print(stdout);
  if (!json.empty() && !report.write_json(json)) {
    std::fprintf(stderr, "gpu_bench: %s cannot be written\n", json.c_str());
    return kFailed;
  }
  return report.has_failed() ? kFailed : 0;
}

int run(int argc, char** argv) {
  bool is_quick = false;
  bool describe = false;
  std::string json;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--quick") {
      is_quick = true;
    } else if (argument == "--describe") {
      describe = true;
    } else if (argument == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else {
      std::fputs(kHelp, argument == "--help" ? stdout : stderr);
      return argument == "--help" ? 0 : kUsage;
    }
  }
  const auto gpu = Backend::choose("cuda");
  if (!gpu) {
    std::fprintf(stderr, "gpu_bench: %s\n", gpu.error().message.c_str());
    // One that is there and cannot be used is not fit for use.
    return CudaSession::device_count() == 0 ? kNoGpu : kFailed;
  }
  const auto device = describe_device();
  if (!device) {
    std::fprintf(stderr, "gpu_bench: %s\n", device.error().message.c_str());
    return kFailed;
  }
  if (describe) {
    std::printf("name %s\ncompute_capability %s\npci %s\n", device->name.c_str(),
                device->compute_capability.c_str(), device->pci.c_str());
    return 0;
  }
  return bench(*device, *gpu, is_quick, json);
}

}  // namespace
}  // namespace colophon::bench

int main(int argc, char** argv) {
  try {
    return colophon::bench::run(argc, argv);
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "gpu_bench: %s\n", error.what());
    return 1;
  }
}
