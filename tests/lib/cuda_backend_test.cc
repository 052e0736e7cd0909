// SPDX-License-Identifier: Apache-2.0
//
// The backend "cuda" on the GPU emulator: opening, faults of every call at every moment, streams
// late and in any order, many threads, and what it leaves behind.
#include "cuda_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "batch_builder.h"
#include "colophon/key_registry.hpp"
#include "key_registry_storage.h"
#include "p256_signer.h"
#include "tests/effort.h"
#include "tests/gpu_emulator/cuda_runtime.h"
#include "verifier_on.h"

namespace colophon::test {
namespace {

using gpu_emulator::Effect;
using gpu_emulator::Fault;
using gpu_emulator::kForever;
using gpu_emulator::Pace;
using gpu_emulator::Settings;
using std::chrono::milliseconds;

// A device so small that the form for throughput begins at 129 signatures, and pieces of which a
// batch has several.
Settings small_gpu() {
  Settings settings;
  settings.multiprocessors = 1;
  settings.registers = 255;
  settings.launch.order = gpu_emulator::Order::kSeeded;
  settings.print = false;
  return settings;
}
CudaOptions small_pieces() {
  CudaOptions options;
  options.with_table_max = 200;
  options.without_max = 24;
  options.slots_max = 3;
  options.hashes_min = 40;
  options.retry_first = milliseconds(0);
  options.calibration = milliseconds(0);  // shapes as computed
  return options;
}

// Signatures by a few signers, every third one of another message.
struct Signed {
  static constexpr std::size_t kSigners = 3;
  static constexpr std::size_t kCount = 260;
  std::vector<SignedMessage> items;
  std::vector<Verdict> verdicts;
  Signed() {
    std::vector<P256Signer> signers;
    for (unsigned i = 0; i < kSigners; ++i) signers.push_back(P256Signer::with_number(77 + 5 * i));
    for (std::size_t i = 0; i < kCount; ++i) {
      items.push_back(signers[i % kSigners].sign("document " + std::to_string(i)));
      const bool is_valid = i % 4 != 3;
      if (!is_valid) items.back().message = bytes_of("another");
      verdicts.push_back(is_valid ? Verdict::kValid : Verdict::kMismatch);
    }
  }
};
const Signed& made() {
  static const Signed signatures;
  return signatures;
}

// A backend and a registry on it.
class Gpu {
 public:
  explicit Gpu(const CudaOptions& options = small_pieces())
      : backend_(make_cuda_backend(options, best_cpu_backend)),
        registry_(std::make_unique<KeyRegistry::Storage>(*backend_)) {
    for (std::size_t i = 0; i < Signed::kSigners; ++i) {
      ids_.push_back(registry_.add(Scheme::kEcdsaP256Sha256, made().items[i].key).value());
    }
  }

  // The first `count` signatures; whether the verdicts are right.
  [[nodiscard]] bool verify(std::size_t count, bool enrolled, unsigned threads = 1) const {
    BatchBuilder builder({Scheme::kEcdsaP256Sha256});
    std::vector<KeyId> ids;
    std::vector<Verdict> expected;
    for (std::size_t i = 0; i < count; ++i) {
      const SignedMessage& item = made().items[i % Signed::kCount];
      builder.add(enrolled ? Bytes() : item.key, item.message, item.signature);
      ids.push_back(ids_[i % Signed::kCount % Signed::kSigners]);
      expected.push_back(made().verdicts[i % Signed::kCount]);
    }
    VerifyBatch batch = builder.batch();
    batch.threads = threads;
    if (enrolled) {
      batch.public_keys = {};
      batch.key_ids = ids;
      batch.registry = &registry_;
    }
    std::vector<Verdict> verdicts(count, Verdict::kBadKey);
    const Result<void> done = verify_batch_on(*backend_, batch, verdicts);
    EXPECT_TRUE(done.ok()) << done.error().message;
    return verdicts == expected;
  }
  // Messages of any length, in pieces, one for which a slot has no room; pairs, in place; trees of
  // a tile and some more. Whether the hashes are openssl's.
  [[nodiscard]] bool hash() const {
    constexpr std::size_t kMessages = 200;
    constexpr std::size_t kPairs = 50;
    constexpr std::size_t kLeaves = 300;
    Column messages;
    for (std::size_t i = 0; i < kMessages; ++i) messages.add(Bytes(i == 9 ? 100'000 : i % 150, 7));
    const Bytes nodes(kLeaves * sizeof(Digest), 0x5a);
    Column leaves;
    for (std::size_t i = 0; i < kLeaves; ++i) {
      leaves.add(Bytes(sizeof(Digest), static_cast<std::uint8_t>(i)));
    }
    const auto all = [&](const BackendImplementation& by) {
      Bytes hashes((kMessages + kLeaves) * sizeof(Digest));
      EXPECT_TRUE(by.hash({}, messages.slices(), hashes.data()).ok());
      std::uint8_t* const pairs = &hashes[kMessages * sizeof(Digest)];
      std::copy(nodes.begin(), nodes.end(), pairs);
      EXPECT_TRUE(by.hash_pairs({HashAlgorithm::kBlake3, 1}, pairs, kPairs, pairs).ok());
      Digest root;
      EXPECT_TRUE(by.hash_tree({.prefix = 1}, nodes.data(), kLeaves, root.data()).ok());
      hashes.resize((kMessages + kPairs) * sizeof(Digest));
      hashes.insert(hashes.end(), root.begin(), root.end());
      EXPECT_TRUE(
          by.hash_leaves_tree({.prefix = 0}, {.prefix = 1}, leaves.slices(), root.data()).ok());
      hashes.insert(hashes.end(), root.begin(), root.end());
      return hashes;
    };
    static const Bytes expected = all(openssl_backend());
    return all(*backend_) == expected;
  }
  // Every way that work takes: signatures without tables, with tables (which are built), in a few
  // lanes, in the form for throughput; hashes.
  [[nodiscard]] bool work() const {
    return verify(30, false) && verify(60, true) && verify(9, true) &&
           verify(Signed::kCount, true) && hash();
  }

  [[nodiscard]] std::string why_not() const { return backend_->unsupported_reason(); }
  [[nodiscard]] DeviceInfo info() const { return backend_->device().value(); }
  [[nodiscard]] const BackendImplementation& backend() const { return *backend_; }

 private:
  std::unique_ptr<const BackendImplementation> backend_;
  KeyRegistry registry_;
  std::vector<KeyId> ids_;
};

std::string first_finding() {
  const auto findings = gpu_emulator::findings();
  return findings.empty() ? "" : findings.front().text;
}

// What of the device's is not given back.
std::size_t held() {
  const auto held = gpu_emulator::holdings();
  return held.allocations + held.pinned + held.streams + held.events + held.graphs + held.queued;
}

// --- opening -------------------------------------------------------------------------------------

std::string why_not(const Settings& settings, int device = 0) {
  gpu_emulator::power_cycle(settings);
  CudaOptions options = small_pieces();
  options.device = device;
  const Gpu gpu(options);
  std::string reason = gpu.why_not();
  // Whatever it is, there are verdicts.
  EXPECT_TRUE(gpu.verify(40, true));
  EXPECT_EQ(gpu.info().in_use, reason.empty());
  EXPECT_EQ(gpu.info().signatures != 0, reason.empty());
  EXPECT_EQ(gpu.info().signatures_on_cpu != 0, !reason.empty());
  return reason;
}

TEST(CudaOpening, SaysWhatIsMissing) {
  Settings settings = small_gpu();
  EXPECT_EQ(why_not(settings), "");
  EXPECT_EQ(why_not(settings, 1), "there is no GPU 1; their indices end at 0");
  settings.driver = 0;
  EXPECT_EQ(why_not(settings), "no NVIDIA driver is installed");
  settings.driver = 12'040;
  EXPECT_EQ(why_not(settings),
            "the NVIDIA driver is too old: it supports CUDA 12.4, this program needs 13.0");
  settings = small_gpu();
  settings.devices = 0;
  EXPECT_EQ(why_not(settings),
            "the NVIDIA driver finds no GPU (is one hidden by CUDA_VISIBLE_DEVICES?)");
  settings = small_gpu();
  settings.memory_taken = settings.memory_bytes - (std::uint64_t{1} << 20);
  EXPECT_NE(why_not(settings).find("has only"), std::string::npos);
}

TEST(CudaOpening, ADeviceInUseByOthersIsNamedAndTriedAgain) {
  Settings settings = small_gpu();
  settings.faults.push_back({"cudaSetDevice", 1, 1, cudaErrorDevicesUnavailable, Effect::kFail});
  gpu_emulator::power_cycle(settings);
  const Gpu gpu;
  EXPECT_EQ(gpu.why_not(),
            "GPU 0 (Colophon GPU emulator) is in use by another process, which has it for itself, "
            "or its compute mode forbids all use");
  EXPECT_TRUE(gpu.verify(20, true));
  EXPECT_TRUE(gpu.info().in_use);
}

TEST(CudaOpening, OneThatAnswersWrongIsNotUsed) {
  // Arithmetic mod n that forgets its carries.
  std::ifstream in(COLOPHON_CUDA_PTX);
  std::string ptx{std::istreambuf_iterator<char>(in), {}};
  constexpr std::string_view kCarry = "addc.cc.u32";
  const std::size_t kernel = ptx.find(".entry _ZN8colophon7kernels22p256_cuda_scalars_each");
  const std::size_t end = ptx.find(".entry", kernel + 1);
  ASSERT_LT(ptx.find(kCarry, kernel), end);
  for (std::size_t at = kernel; (at = ptx.find(kCarry, at)) < end;) {
    ptx.replace(at, kCarry.size(), "add.cc.u32 ");
  }
  gpu_emulator::power_cycle(small_gpu());
  const auto module = gpu_emulator::add_module(ptx);
  ASSERT_TRUE(module.ok()) << module.error().message;
  {
    const Gpu gpu;
    EXPECT_EQ(gpu.why_not(),
              "GPU 0 (Colophon GPU emulator) gives wrong answers to known questions");
    EXPECT_TRUE(gpu.work());
    EXPECT_EQ(gpu.info().signatures, 0U);
    // Its kernels are another's from now on: it is taken into use.
    gpu_emulator::remove_module(*module);
    EXPECT_TRUE(gpu.work());
    EXPECT_TRUE(gpu.info().in_use);
    EXPECT_EQ(gpu.info().driver, "13.0");
  }
  EXPECT_EQ(first_finding(), "");
}

TEST(CudaMemory, TheBudgetIsKeptAndNoLargerThanTheCard) {
  gpu_emulator::power_cycle(small_gpu());
  CudaOptions options = small_pieces();
  options.retry_first = std::chrono::hours(1);
  const Gpu gpu(options);
  ASSERT_EQ(gpu.why_not(), "");
  const std::size_t by_itself = gpu.backend().table_memory().bytes_max;
  EXPECT_GT(by_itself, std::size_t{1} << 30);
  EXPECT_LT(by_itself, std::size_t{5} << 30);
  const auto expect_too_much = [&] {
    const Result<void> too_much = gpu.backend().set_table_memory_max(std::size_t{9} << 30);
    ASSERT_FALSE(too_much.ok());
    EXPECT_EQ(too_much.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(too_much.error().field, "table_memory");
    EXPECT_NE(too_much.error().message.find("GPU 0 has room for"), std::string::npos);
  };
  expect_too_much();
  EXPECT_EQ(gpu.backend().table_memory().bytes_max, by_itself);
  // Room for two tables of the narrowest kind.
  ASSERT_TRUE(gpu.backend().set_table_memory_max(2 * CudaSession::table_bytes(5)).ok());
  EXPECT_TRUE(gpu.work());
  EXPECT_EQ(gpu.backend().table_memory().tables, 2U);
  ASSERT_TRUE(gpu.backend().set_table_memory_max(0).ok());
  EXPECT_EQ(gpu.backend().table_memory().tables, 0U);
  EXPECT_TRUE(gpu.work());
  // Nor while the device is away.
  gpu_emulator::add_fault(
      {"kernel", gpu_emulator::calls("kernel") + 1, 1, cudaErrorIllegalAddress, Effect::kBreak});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(gpu.verify(5, false));  // it breaks; it is closed
  EXPECT_FALSE(gpu.info().in_use);
  expect_too_much();
}

TEST(CudaMemory, ACardThatIsFullServesWithoutTables) {
  Settings settings = small_gpu();
  gpu_emulator::power_cycle(settings);
  const Gpu gpu;
  ASSERT_EQ(gpu.why_not(), "");
  for (const char* call : {"cudaMalloc", "cudaHostAlloc", "cudaMallocAsync"}) {
    gpu_emulator::add_fault(
        {call, gpu_emulator::calls(call) + 2, kForever, cudaErrorMemoryAllocation, Effect::kFail});
  }
  for (int round = 0; round < 3; ++round) EXPECT_TRUE(gpu.work());
  EXPECT_EQ(gpu.info().faults, 0U) << gpu.info().last_fault;
  EXPECT_LE(gpu.backend().table_memory().tables, 1U);
}

// The device is hardly busy with one: a thread each works on its rows.
TEST(CudaMemory, TheTablesOfABatchAreBuiltInOneGo) {
  constexpr unsigned kKeys = 40;
  constexpr std::size_t kEach = 16;  // the first table is earned
  gpu_emulator::power_cycle(small_gpu());
  CudaOptions options = small_pieces();
  options.with_table_max = 1'000;
  const auto backend = make_cuda_backend(options, best_cpu_backend);
  ASSERT_EQ(backend->unsupported_reason(), "");
  KeyRegistry registry(std::make_unique<KeyRegistry::Storage>(*backend));
  BatchBuilder builder({Scheme::kEcdsaP256Sha256});
  std::vector<KeyId> ids;
  for (unsigned k = 0; k < kKeys; ++k) {
    const SignedMessage item = P256Signer::with_number(500 + k).sign("of many");
    const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, item.key).value();
    for (std::size_t i = 0; i < kEach; ++i) {
      builder.add(Bytes(), item.message, item.signature);
      ids.push_back(id);
    }
  }
  VerifyBatch batch = builder.batch();
  batch.public_keys = {};
  batch.key_ids = ids;
  batch.registry = &registry;
  std::vector<Verdict> verdicts(ids.size());
  const std::uint64_t before = gpu_emulator::calls("cudaLaunchKernel");
  ASSERT_TRUE(verify_batch_on(*backend, batch, verdicts).ok());
  EXPECT_EQ(verdicts, std::vector<Verdict>(ids.size(), Verdict::kValid));
  EXPECT_EQ(backend->table_memory().tables, kKeys);
  // Those of the keys and the generator's, 1 + 5 and 1 + 8, a wider one of the generator's, 1 + 10,
  // and three for the batch.
  EXPECT_LE(gpu_emulator::calls("cudaLaunchKernel") - before, 29U);
  EXPECT_EQ(backend->device()->signatures_on_cpu, 0U);
  EXPECT_EQ(first_finding(), "");
}

// --- what it leaves ------------------------------------------------------------------------------

TEST(CudaBackend, TakesNoMemoryByTheBatchAndGivesAllBack) {
  gpu_emulator::power_cycle(small_gpu());
  {
    const Gpu gpu;
    ASSERT_TRUE(gpu.backend().set_table_memory_max(3 * CudaSession::table_bytes(5)).ok());
    // Until all tables have the width they will have for long.
    for (int round = 0; round < 4; ++round) EXPECT_TRUE(gpu.work());
    const auto allocations = [] {
      std::uint64_t sum = 0;
      for (const char* call :
           {"cudaMalloc", "cudaMallocAsync", "cudaHostAlloc", "cudaMallocHost", "cudaHostRegister",
            "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaGraphInstantiate"}) {
        sum += gpu_emulator::calls(call);
      }
      return sum;
    };
    const std::uint64_t before = allocations();
    for (int round = 0; round < 10; ++round) EXPECT_TRUE(gpu.work());
    EXPECT_EQ(allocations(), before);
    EXPECT_GT(gpu_emulator::calls("cudaGraphLaunch"), 10U);
    EXPECT_EQ(gpu.info().signatures_on_cpu, 0U);
  }
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(first_finding(), "");
}

TEST(CudaBackend, EveryKernelRuns) {
  gpu_emulator::power_cycle(small_gpu());
  gpu_emulator::clear_statistics();
  CudaOptions options = small_pieces();
  options.with_table_max = 1'000;
  const Gpu gpu(options);
  EXPECT_TRUE(gpu.work());
  EXPECT_TRUE(gpu.verify(2'000, true));
  for (const HashAlgorithm algorithm :
       {HashAlgorithm::kSha256, HashAlgorithm::kSha512, HashAlgorithm::kSm3, HashAlgorithm::kBlake3,
        HashAlgorithm::kKeccak256}) {
    const std::size_t each = digest_bytes(algorithm);
    for (const std::size_t length : {each, 2 * each, std::size_t{1'500}}) {
      Column messages;
      for (std::size_t i = 0; i < 50; ++i) messages.add(Bytes(length, 3));
      for (const int prefix : {HashForm::kNoPrefix, 0}) {
        const HashForm form = {algorithm, prefix};
        Bytes digests(50 * each);
        Bytes expected(50 * each);
        ASSERT_TRUE(gpu.backend().hash(form, messages.slices(), digests.data()).ok());
        ASSERT_TRUE(openssl_backend().hash(form, messages.slices(), expected.data()).ok());
        EXPECT_EQ(digests, expected) << hash_name(algorithm) << ' ' << length << ' ' << prefix;
      }
    }
  }
  std::set<std::string> run;
  for (const auto& kernel : gpu_emulator::kernel_statistics()) {
    if (kernel.launches != 0) run.insert(kernel.kernel);
    EXPECT_EQ(kernel.faults, 0U) << kernel.kernel;
  }
  // Eight for signatures; pairs and nodes of five algorithms, SHA-256's leaves, messages of four
  // and BLAKE3's two, tiles of hashes and of leaves.
  EXPECT_EQ(run.size(), 8U + 10 + 1 + 4 + 2 + 2);
}

TEST(CudaBackend, BothShapesAndAnyOrderOfWarpsGiveTheSame) {
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending,
                           gpu_emulator::Order::kSeeded}) {
    Settings settings = small_gpu();
    settings.launch.order = order;
    gpu_emulator::power_cycle(settings);
    const Gpu gpu;
    ASSERT_EQ(gpu.why_not(), "");
    EXPECT_TRUE(gpu.work());
    const auto graphs = [] { return gpu_emulator::calls("cudaGraphLaunch"); };
    std::uint64_t before = graphs();
    EXPECT_TRUE(gpu.verify(128, true));
    EXPECT_EQ(graphs(), before + 1);
    before = graphs();
    EXPECT_TRUE(gpu.verify(129, true));
    EXPECT_EQ(graphs(), before);
    EXPECT_EQ(gpu.info().signatures_on_cpu, 0U);
  }
  EXPECT_EQ(first_finding(), "");
}

TEST(CudaShapes, TheLastSizeAtWhichSplittingIsNoSlowerCounts) {
  using std::chrono::nanoseconds;
  const auto max_of = [](std::uint32_t max, const std::vector<bool>& is_sooner) {
    std::size_t asked = 0;
    const std::uint32_t found =
        find_split_max(max, [&](std::uint32_t count) -> std::optional<std::array<nanoseconds, 2>> {
          EXPECT_EQ(count, 1U << asked);
          if (asked == is_sooner.size()) return std::nullopt;  // the time is up
          const int split = is_sooner[asked++] ? 5 : 6;
          return std::array{nanoseconds(split), nanoseconds(5)};
        });
    EXPECT_EQ(asked, is_sooner.size());
    return found;
  };
  EXPECT_EQ(max_of(16, {true, true, true, true, true}), 16U);
  EXPECT_EQ(max_of(16, {true, true, true, false, false}), 4U);
  EXPECT_EQ(max_of(64, {true, true, true, false, false}), 4U);   // no more is measured
  EXPECT_EQ(max_of(16, {false, true, false, true, false}), 8U);  // some were disturbed
  EXPECT_EQ(max_of(16, {false, false}), 0U);
  EXPECT_EQ(max_of(16, {true, false}), 16U);  // not known
  EXPECT_EQ(max_of(16, {}), 16U);
  EXPECT_EQ(max_of(1, {true}), 1U);
  EXPECT_EQ(max_of(0, {}), 0U);
}

// A device on which there is room for 32 lanes a signature, of which the emulator runs one after
// the other: one signature is sooner done so, a hundred are not.
TEST(CudaShapes, AreMeasuredWhenTheDeviceIsOpened) {
  gpu_emulator::power_cycle(small_gpu());
  CudaOptions options = small_pieces();
  {
    const Gpu gpu(options);
    ASSERT_EQ(gpu.why_not(), "");
    EXPECT_EQ(gpu.info().low_latency_max, 128U);
  }
  options.calibration = std::chrono::minutes(5);
  Settings large = small_gpu();
  large.multiprocessors = 4;
  large.registers = 64;
  gpu_emulator::power_cycle(large);
  const Gpu gpu(options);
  ASSERT_EQ(gpu.why_not(), "");
  const std::size_t max = gpu.info().low_latency_max;
  EXPECT_TRUE(max >= 1 && max <= 64 && (max & (max - 1)) == 0) << max;
  EXPECT_TRUE(gpu.work());
  const auto graphs = [] { return gpu_emulator::calls("cudaGraphLaunch"); };
  std::uint64_t before = graphs();
  EXPECT_TRUE(gpu.verify(max, true));
  EXPECT_EQ(graphs(), before + 1);
  before = graphs();
  EXPECT_TRUE(gpu.verify(max + 1, true));
  EXPECT_EQ(graphs(), before);
  // A fault while it is being measured.
  gpu_emulator::power_cycle(small_gpu());
  const Gpu other(options);
  gpu_emulator::add_fault({"cudaGraphLaunch", gpu_emulator::calls("cudaGraphLaunch") + 6, 1,
                           cudaErrorLaunchFailure, Effect::kBreak});
  EXPECT_NE(other.why_not().find("cudaErrorLaunchFailure"), std::string::npos) << other.why_not();
  EXPECT_TRUE(other.work());
  EXPECT_TRUE(other.info().in_use) << other.info().last_fault;
  EXPECT_EQ(first_finding(), "");
}

TEST(CudaBackend, SizesAroundEveryLimit) {
  gpu_emulator::power_cycle(small_gpu());
  const Gpu gpu;
  ASSERT_TRUE(gpu.work());
  for (const std::size_t count : {1,   2,   3,   31,  32,  33,  63,  64,  65,  127, 128,
                                  129, 199, 200, 201, 255, 256, 257, 399, 400, 401, 601}) {
    EXPECT_TRUE(gpu.verify(count, true)) << count;
  }
  ASSERT_TRUE(gpu.backend().set_table_memory_max(0).ok());
  for (const std::size_t count : {1, 2, 23, 24, 25, 47, 48, 49, 73}) {
    EXPECT_TRUE(gpu.verify(count, false)) << count;
  }
  EXPECT_EQ(gpu.info().signatures_on_cpu, 0U);
  EXPECT_EQ(first_finding(), "");
}

TEST(CudaBackend, StreamsThatAreLateAndReorderedGiveTheSame) {
  const std::uint64_t seeds = is_long() ? (kIsDebug ? 40 : 200) : kIsDebug ? 2 : 4;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Settings settings = small_gpu();
    settings.seed = seed;
    gpu_emulator::power_cycle(settings);
    const Gpu gpu;
    ASSERT_EQ(gpu.why_not(), "");
    EXPECT_TRUE(gpu.work()) << "seed " << seed;
    EXPECT_EQ(gpu.info().signatures_on_cpu, 0U) << gpu.info().last_fault;
    ASSERT_EQ(first_finding(), "") << "seed " << seed;
  }
}

// --- faults --------------------------------------------------------------------------------------

// A run with one fault: verdicts are right throughout, and the device comes back.
void survive(const Fault& fault, std::uint64_t seed) {
  SCOPED_TRACE(fault.where + " " + std::to_string(fault.first) + ", " +
               cudaGetErrorName(fault.error) + ", effect " +
               std::to_string(static_cast<int>(fault.effect)));
  Settings settings = small_gpu();
  settings.seed = seed;
  settings.hang_ms = 100;
  settings.faults.push_back(fault);
  gpu_emulator::power_cycle(settings);
  {
    const Gpu gpu;
    (void)gpu.why_not();  // may well fail
    EXPECT_TRUE(gpu.work());
    EXPECT_TRUE(gpu.work());
    for (int i = 0; i < 1'000 && !gpu.info().in_use; ++i) {
      EXPECT_TRUE(gpu.verify(5, true));
      if (!gpu.info().in_use) std::this_thread::sleep_for(milliseconds(2));
    }
    EXPECT_TRUE(gpu.info().in_use) << gpu.info().last_fault;
    EXPECT_LE(gpu.info().faults, 1 + fault.count) << gpu.info().last_fault;
  }
  EXPECT_EQ(first_finding(), "");
  // To a device that is gone nothing can be given back. Of one that broke, a few tables may stay
  // that were being freed, to make room for a wider one: whether they were, cannot be known. And
  // one that does not give up a graph when it is asked has it still.
  const bool keeps_graph = fault.where == "cudaGraphDestroy" && fault.effect == Effect::kFail;
  const std::size_t held_max = fault.effect == Effect::kBreak ? 4 : keeps_graph ? 1 : 0;
  EXPECT_TRUE(held() <= held_max || fault.effect == Effect::kLose) << held();
}

TEST(CudaFaults, OfEveryCallAtEveryMomentAreSurvived) {
  // What a run calls, and how often.
  gpu_emulator::power_cycle(small_gpu());
  {
    const Gpu gpu;
    ASSERT_EQ(gpu.why_not(), "");
    EXPECT_TRUE(gpu.work());
    EXPECT_TRUE(gpu.work());
  }
  constexpr std::array kCalls = {"cudaSetDevice",
                                 "cudaMalloc",
                                 "cudaHostAlloc",
                                 "cudaMallocAsync",
                                 "cudaFreeAsync",
                                 "cudaMemcpyAsync",
                                 "cudaMemsetAsync",
                                 "cudaLaunchKernel",
                                 "cudaStreamQuery",
                                 "cudaGraphLaunch",
                                 "cudaGraphInstantiate",
                                 "cudaStreamBeginCapture",
                                 "cudaStreamEndCapture",
                                 "cudaGraphDestroy",
                                 "cudaStreamCreateWithFlags",
                                 "cudaMemGetInfo",
                                 "cudaGetDeviceProperties",
                                 "cudaOccupancyMaxActiveBlocksPerMultiprocessor",
                                 "cudaGetDeviceCount",
                                 "kernel",
                                 "copy",
                                 "set"};
  std::vector<std::pair<std::string, std::uint64_t>> moments;
  for (const char* call : kCalls) {
    const std::uint64_t times = gpu_emulator::calls(call);
    EXPECT_TRUE(times > 0 || std::string_view(call) == "cudaFreeAsync") << call;
    for (const std::uint64_t first : std::set<std::uint64_t>{1, 2, times / 2, times - 1, times}) {
      if (first >= 1 && first <= times) moments.emplace_back(call, first);
    }
  }
  std::uint64_t seed = 0;
  for (const auto& [call, first] : moments) {
    const bool is_work = call == "kernel" || call == "copy" || call == "set";
    std::vector<Effect> effects = {Effect::kFail, Effect::kBreak, Effect::kLose};
    if (is_work) effects.push_back(Effect::kHang);
    for (const Effect effect : effects) {
      ++seed;
      if (!is_long() && seed % (kIsDebug ? 64 : 48) != 0) continue;  // a sample
      Fault fault{call, first, 1, is_work ? cudaErrorIllegalAddress : cudaErrorUnknown, effect};
      if (effect == Effect::kLose) fault.count = 5;
      survive(fault, seed);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(CudaFaults, OfEveryKindAreSurvived) {
  const auto later = [](const char* what, std::uint64_t first, cudaError_t error, Effect effect,
                        std::uint64_t count = 1) {
    survive({what, first, count, error, effect}, first);
    EXPECT_FALSE(gpu_emulator::faults_met().empty()) << what << ' ' << first;
  };
  later("cudaGetDeviceCount", 1, cudaErrorNoDevice, Effect::kFail);
  later("cudaMalloc", 2, cudaErrorMemoryAllocation, Effect::kFail);
  later("cudaHostAlloc", 2, cudaErrorMemoryAllocation, Effect::kFail);
  later("cudaStreamCreateWithFlags", 3, cudaErrorUnknown, Effect::kFail);
  later("cudaGraphInstantiate", 1, cudaErrorUnknown, Effect::kFail);
  later("kernel", 3, cudaErrorLaunchTimeout, Effect::kHang);
  later("cudaMallocAsync", 5, cudaErrorMemoryAllocation, Effect::kFail);
  later("cudaLaunchKernel", 60, cudaErrorLaunchOutOfResources, Effect::kFail);
  later("cudaGraphLaunch", 1, cudaErrorLaunchFailure, Effect::kFail);
  later("kernel", 70, cudaErrorIllegalAddress, Effect::kBreak);
  later("copy", 12, cudaErrorECCUncorrectable, Effect::kBreak);
  later("cudaMemcpyAsync", 9, cudaErrorLaunchFailure, Effect::kBreak);
  later("any", 150, cudaErrorDeviceUninitialized, Effect::kLose, 20);
  later("kernel", 75, cudaErrorLaunchTimeout, Effect::kHang);
}

TEST(CudaFaults, ADeviceThatIsGoneForGoodCostsNoVerdict) {
  gpu_emulator::power_cycle(small_gpu());
  CudaOptions options = small_pieces();
  options.retry_first = milliseconds(1'000);
  const Gpu gpu(options);
  ASSERT_EQ(gpu.why_not(), "");
  EXPECT_TRUE(gpu.work());
  gpu_emulator::add_fault(
      {"any", gpu_emulator::calls("any") + 1, kForever, cudaErrorNoDevice, Effect::kLose});
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(gpu.work());
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_FALSE(gpu.info().in_use);
  EXPECT_GE(gpu.info().faults, 1U);
  // It is asked for once a second at most, and ever more seldom.
  EXPECT_LE(
      gpu.info().faults,
      2U + static_cast<unsigned>(std::chrono::duration_cast<std::chrono::seconds>(took).count()));
  EXPECT_FALSE(gpu.info().last_fault.empty());
}

TEST(CudaFaults, WorkThatHangsIsNotWaitedForForLong) {
  Settings settings = small_gpu();
  settings.hang_ms = 3'600'000;
  gpu_emulator::power_cycle(settings);
  CudaOptions options = small_pieces();
  options.patience = milliseconds(6'000);
  {
    const Gpu gpu(options);
    ASSERT_EQ(gpu.why_not(), "");
    EXPECT_TRUE(gpu.work());
    gpu_emulator::add_fault(
        {"kernel", gpu_emulator::calls("kernel") + 1, 1, cudaErrorLaunchTimeout, Effect::kHang});
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(gpu.work());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
    EXPECT_FALSE(gpu.info().in_use);
    EXPECT_EQ(gpu.info().faults, 1U);
    EXPECT_EQ(gpu.info().last_fault, "the device has not answered for 6000 ms");
  }
  gpu_emulator::power_cycle(small_gpu());
}

TEST(CudaFaults, OfAnyKindAllTheTimeCostNoVerdict) {
  const std::uint64_t seeds = is_long() ? (kIsDebug ? 15 : 60) : kIsDebug ? 1 : 3;
  std::size_t met = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Settings settings = small_gpu();
    settings.seed = seed;
    settings.chaos = 100 + 100 * static_cast<std::uint32_t>(seed % 4);
    settings.hang_ms = 20;
    gpu_emulator::power_cycle(settings);
    CudaOptions options = small_pieces();
    const Gpu gpu(options);
    (void)gpu.why_not();
    for (int i = 0; i < 6; ++i) EXPECT_TRUE(gpu.work()) << "seed " << seed;
    met += gpu_emulator::faults_met().size();
    EXPECT_EQ(first_finding(), "") << "seed " << seed;
  }
  EXPECT_GE(met, seeds);
}

// --- threads -------------------------------------------------------------------------------------

void run_batches(const Gpu& gpu, int threads, int batches) {
  std::atomic<int> next = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (int i = next++; i < batches; i = next++) {
        const std::size_t count = 1 + static_cast<std::size_t>(i) * 7 % 12;
        if (!gpu.verify(count, i % 16 != 0, 1 + static_cast<unsigned>(i) % 3)) ++wrong;
      }
    });
  }
  workers.clear();
  EXPECT_EQ(wrong, 0);
}

TEST(CudaThreads, AThousandBatchesFromEightThreads) {
  Settings settings = small_gpu();
  settings.pace = Pace::kFree;
  gpu_emulator::power_cycle(settings);
  {
    CudaOptions options = small_pieces();
    options.patience = std::chrono::minutes(10);  // wide tables take long with sanitizers
    const Gpu gpu(options);
    ASSERT_EQ(gpu.why_not(), "");
    run_batches(gpu, 8, kIsDebug && !is_long() ? 200 : 1'000);
    EXPECT_EQ(gpu.info().signatures_on_cpu, 0U) << gpu.info().last_fault;
  }
  EXPECT_EQ(first_finding(), "");
  gpu_emulator::power_cycle(small_gpu());
}

// Nor does a budget wait for them, or they for it, and none of them goes to the CPU.
TEST(CudaThreads, ABudgetIsSetBesideBatches) {
  Settings settings = small_gpu();
  settings.pace = Pace::kFree;
  gpu_emulator::power_cycle(settings);
  {
    CudaOptions options = small_pieces();
    options.patience = std::chrono::minutes(10);
    const Gpu gpu(options);
    ASSERT_EQ(gpu.why_not(), "");
    std::atomic<bool> are_done = false;
    std::jthread setting([&] {
      while (!are_done) {
        EXPECT_TRUE(gpu.backend().set_table_memory_max(kTableMemoryMin).ok());
        std::this_thread::yield();
      }
    });
    run_batches(gpu, 4, kIsDebug && !is_long() ? 20 : 100);
    are_done = true;
    setting.join();
    EXPECT_EQ(gpu.info().signatures_on_cpu, 0U) << gpu.info().last_fault;
  }
  EXPECT_EQ(first_finding(), "");
  gpu_emulator::power_cycle(small_gpu());
}

// Nor does it stay away because everybody is busy.
TEST(CudaThreads, TheDeviceComesBackHoweverManyAreAtWork) {
  Settings settings = small_gpu();
  settings.pace = Pace::kFree;
  gpu_emulator::power_cycle(settings);
  {
    CudaOptions options = small_pieces();
    options.retry_first = milliseconds(100);
    const Gpu gpu(options);
    ASSERT_EQ(gpu.why_not(), "");
    gpu_emulator::add_fault(
        {"kernel", gpu_emulator::calls("kernel") + 1, 1, cudaErrorIllegalAddress, Effect::kBreak});
    std::atomic<bool> is_back = false;
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> workers;
    for (int t = 0; t < 8; ++t) {
      workers.emplace_back([&] {
        const auto start = std::chrono::steady_clock::now();
        while (!is_back && std::chrono::steady_clock::now() - start < std::chrono::minutes(2)) {
          if (!gpu.verify(1'500, false)) ++wrong;
          const DeviceInfo info = gpu.info();
          if (info.faults == 1 && info.in_use) is_back = true;
        }
      });
    }
    workers.clear();
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(is_back) << gpu.info().last_fault;
  }
  gpu_emulator::power_cycle(small_gpu());
}

TEST(CudaThreads, FaultsInTheMidstOfManyCostNoVerdict) {
  Settings settings = small_gpu();
  settings.pace = Pace::kFree;
  settings.chaos = 20'000;  // of calls, most of which ask whether work is done
  settings.hang_ms = 50;
  gpu_emulator::power_cycle(settings);
  {
    CudaOptions options = small_pieces();
    const Gpu gpu(options);
    (void)gpu.why_not();
    // Some on the device, some not.
    for (int i = 0; i < 100 && (gpu.info().faults == 0 || gpu.info().signatures == 0); ++i) {
      run_batches(gpu, 8, kIsDebug && !is_long() ? 60 : 300);
    }
    EXPECT_GT(gpu.info().faults, 0U);
    EXPECT_GT(gpu.info().signatures, 0U);
    EXPECT_GT(gpu.info().signatures_on_cpu, 0U);
  }
  gpu_emulator::power_cycle(small_gpu());
}

}  // namespace
}  // namespace colophon::test
