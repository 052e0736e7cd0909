// SPDX-License-Identifier: Apache-2.0
//
// What CUDA promises of order holds for every seed; what it does not promise fails for some.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "tests/gpu_emulator/cuda_program.h"

namespace colophon::gpu_emulator::test {
namespace {

constexpr std::uint32_t kN = 2 * kBlock;

Words times(const Words& words, std::uint32_t factor) {
  Words product = words;
  for (std::uint32_t& word : product) word *= factor;
  return product;
}

// --- one stream ----------------------------------------------------------------------------------

// Copies in, two kernels, copies out; `wait` for the end.
bool pipeline_is_right(bool wait) {
  const PinnedWords in(counting(kN));
  const PinnedWords out(kN);
  const DeviceWords x(kN);
  const DeviceWords y(kN);
  const OwnStream stream;
  EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), in.bytes(), cudaMemcpyHostToDevice, stream));
  EXPECT_CUDA(cudaMemsetAsync(y.get(), 0, y.bytes(), stream));
  axpy(2, x.get(), y.get(), kN, stream);
  axpy(3, x.get(), y.get(), kN, stream);
  EXPECT_CUDA(cudaMemcpyAsync(out.get(), y.get(), out.bytes(), cudaMemcpyDeviceToHost, stream));
  if (wait) {
    EXPECT_CUDA(cudaStreamSynchronize(stream));
  }
  const bool right = out.read() == times(counting(kN), 5);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_TRUE(findings().empty());
  return right;
}

TEST_F(CudaTest, AStreamIsInOrder) {
  EXPECT_EQ(seeds_that([] { return pipeline_is_right(true); }), kSeeds);
  EXPECT_EQ(seeds_that([] { return pipeline_is_right(true); }, Pace::kFree), kSeeds);
}

TEST_F(CudaTest, WhoDoesNotWaitReadsRubbish) {
  const std::uint64_t right = seeds_that([] { return pipeline_is_right(false); });
  EXPECT_LT(right, kSeeds * 3 / 4);
  EXPECT_GT(right, 0U) << "a seed may also run everything at once";
}

// The last batch's verdicts must not pass for this one's.
TEST_F(CudaTest, WhoDoesNotWaitDoesNotReadWhatWasThereBefore) {
  EXPECT_LT(seeds_that([] {
              const DeviceWords x(counting(kN));
              const PinnedWords out(counting(kN));
              const OwnStream stream;
              EXPECT_CUDA(
                  cudaMemcpyAsync(out.get(), x.get(), out.bytes(), cudaMemcpyDeviceToHost, stream));
              const bool right = out.read() == counting(kN);
              EXPECT_CUDA(cudaStreamSynchronize(stream));
              return right && out.read() == counting(kN);
            }),
            kSeeds * 3 / 4);
}

TEST_F(CudaTest, EveryWayOfWaitingWaits) {
  const auto with = [](const std::function<void(cudaStream_t)>& wait) {
    return seeds_that([&] {
      const DeviceWords x(counting(kN));
      const DeviceWords y(counting(kN));
      const PinnedWords out(kN);
      const OwnStream stream;
      axpy(1, x.get(), y.get(), kN, stream);
      EXPECT_CUDA(cudaMemcpyAsync(out.get(), y.get(), out.bytes(), cudaMemcpyDeviceToHost, stream));
      wait(stream);
      const bool right = out.read() == times(counting(kN), 2);
      EXPECT_CUDA(cudaDeviceSynchronize());
      return right;
    });
  };
  EXPECT_EQ(with([](cudaStream_t) { EXPECT_CUDA(cudaDeviceSynchronize()); }), kSeeds);
  EXPECT_EQ(with([](cudaStream_t stream) {
              while (cudaStreamQuery(stream) == cudaErrorNotReady) {
              }
            }),
            kSeeds);
  EXPECT_EQ(with([](cudaStream_t stream) {
              const OwnEvent event;
              EXPECT_CUDA(cudaEventRecord(event, stream));
              EXPECT_CUDA(cudaEventSynchronize(event));
            }),
            kSeeds);
  EXPECT_EQ(with([](cudaStream_t stream) {
              const OwnEvent event;
              EXPECT_CUDA(cudaEventRecord(event, stream));
              while (cudaEventQuery(event) == cudaErrorNotReady) {
              }
            }),
            kSeeds);
  // And what is none does not: another stream's, an event of before, the legacy stream's.
  EXPECT_LT(with([](cudaStream_t) {
              const OwnStream other;
              EXPECT_CUDA(cudaStreamSynchronize(other));
            }),
            kSeeds);
  EXPECT_LT(with([](cudaStream_t) {
              const OwnEvent event;
              EXPECT_CUDA(cudaEventSynchronize(event));
            }),
            kSeeds);
  EXPECT_LT(with([](cudaStream_t) { EXPECT_CUDA(cudaStreamSynchronize(nullptr)); }), kSeeds);
}

TEST_F(CudaTest, WorkIsLateAndQueriesSaySo) {
  const std::uint64_t late = seeds_that([] {
    const DeviceWords x(counting(kN));
    const OwnStream stream;
    axpy(1, x.get(), x.get(), kN, stream);
    const cudaError_t state = cudaStreamQuery(stream);
    if (state == cudaErrorNotReady) {
      EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady) << "it counts as an error, as in CUDA";
    }
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_CUDA(cudaStreamQuery(stream));
    return state == cudaErrorNotReady;
  });
  EXPECT_GT(late, kSeeds / 2);
  EXPECT_LT(late, kSeeds);
}

TEST_F(CudaTest, CallsKeepTheDeviceFromIdling) {
  std::uint64_t late = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Settings settings = settings_of(seed);
    settings.idle_us = 1'000'000'000;
    power_cycle(settings);
    const DeviceWords x(counting(kN));
    axpy(1, x.get(), x.get(), kN);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    late += holdings().queued;
    EXPECT_CUDA(cudaStreamSynchronize(nullptr));
    EXPECT_EQ(holdings().queued, 0U);
  }
  EXPECT_GT(late, kSeeds / 4);
}

// --- two streams ---------------------------------------------------------------------------------

bool two_streams_are_right(bool wait_for_event) {
  const PinnedWords in(counting(kN));
  const DeviceWords x(Words(kN, 0));
  const DeviceWords y(Words(kN, 0));
  const OwnStream first;
  const OwnStream second;
  const OwnEvent copied;
  EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), in.bytes(), cudaMemcpyHostToDevice, first));
  EXPECT_CUDA(cudaEventRecord(copied, first));
  if (wait_for_event) {
    EXPECT_CUDA(cudaStreamWaitEvent(second, copied, 0));
  }
  axpy(1, x.get(), y.get(), kN, second);
  EXPECT_CUDA(cudaDeviceSynchronize());
  return y.read() == counting(kN);
}

TEST_F(CudaTest, AMissingWaitForAnEventIsCaught) {
  for (const Pace pace : {Pace::kStepped, Pace::kFree}) {
    EXPECT_EQ(seeds_that([] { return two_streams_are_right(true); }, pace), kSeeds);
    const std::uint64_t right = seeds_that([] { return two_streams_are_right(false); }, pace);
    EXPECT_LT(right, pace == Pace::kStepped ? kSeeds * 9 / 10 : kSeeds);
  }
}

// In which order the functions of two streams ran: "aAbB…".
std::string interleaving(std::uint64_t seed) {
  power_cycle(settings_of(seed));
  struct Note {
    std::string* order;
    char letter;
  };
  std::string order;
  Note notes[] = {{&order, 'a'}, {&order, 'A'}, {&order, 'b'},
                  {&order, 'B'}, {&order, 'c'}, {&order, 'C'}};
  const OwnStream lower;
  const OwnStream upper;
  for (Note& note : notes) {
    const auto append = [](void* data) {
      const auto* const own = static_cast<Note*>(data);
      *own->order += own->letter;
    };
    EXPECT_CUDA(cudaLaunchHostFunc(note.letter < 'a' ? upper : lower, append, &note));
  }
  EXPECT_CUDA(cudaDeviceSynchronize());
  return order;
}

TEST_F(CudaTest, TheSeedChoosesTheOrder) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::string order = interleaving(seed);
    EXPECT_EQ(order, interleaving(seed)) << "and the same again";
    EXPECT_EQ(order.size(), 6U);
    EXPECT_LT(order.find('a'), order.find('b'));
    EXPECT_LT(order.find('b'), order.find('c'));
    EXPECT_LT(order.find('A'), order.find('B'));
    EXPECT_LT(order.find('B'), order.find('C'));
    seen.insert(order);
  }
  EXPECT_GE(seen.size(), 6U);
}

TEST_F(CudaTest, ASeedGivesTheSameResultsAgain) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto run = [seed] {
      power_cycle(settings_of(seed));
      const bool right = two_streams_are_right(false);
      return std::pair(right, calls("any"));
    };
    EXPECT_EQ(run(), run());
  }
}

// --- the legacy default stream -------------------------------------------------------------------

// A copy on one stream, a kernel that needs it on another: without any event.
bool streams_are_ordered(cudaStream_t first, cudaStream_t second) {
  const PinnedWords in(counting(kN));
  const DeviceWords x(Words(kN, 0));
  const DeviceWords y(Words(kN, 0));
  EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), in.bytes(), cudaMemcpyHostToDevice, first));
  axpy(1, x.get(), y.get(), kN, second);
  EXPECT_CUDA(cudaDeviceSynchronize());
  return y.read() == counting(kN);
}

TEST_F(CudaTest, TheLegacyStreamIsOrderedWithBlockingStreamsOnly) {
  const auto with = [](unsigned flags, bool legacy_first) {
    return seeds_that([=] {
      const OwnStream own(flags);
      return legacy_first ? streams_are_ordered(nullptr, own)
                          : streams_are_ordered(own, cudaStreamLegacy);
    });
  };
  EXPECT_EQ(with(cudaStreamDefault, true), kSeeds);
  EXPECT_EQ(with(cudaStreamDefault, false), kSeeds);
  EXPECT_LT(with(cudaStreamNonBlocking, true), kSeeds);
  EXPECT_LT(with(cudaStreamNonBlocking, false), kSeeds);
  EXPECT_EQ(seeds_that([] { return streams_are_ordered(cudaStreamPerThread, nullptr); }), kSeeds);
  EXPECT_LT(seeds_that([] {
              const OwnStream a(cudaStreamDefault);
              const OwnStream b(cudaStreamDefault);
              return streams_are_ordered(a, b);
            }),
            kSeeds)
      << "two blocking streams are not ordered by each other";
}

TEST_F(CudaTest, ADestroyedStreamFinishesItsWork) {
  EXPECT_EQ(
      seeds_that([] {
        const PinnedWords in(counting(kN));
        const DeviceWords x(Words(kN, 0));
        {
          const OwnStream own(cudaStreamDefault);
          EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), in.bytes(), cudaMemcpyHostToDevice, own));
        }
        // On the legacy stream, which waits for it still.
        const DeviceWords y(Words(kN, 0));
        axpy(1, x.get(), y.get(), kN);
        return y.read() == counting(kN);
      }),
      kSeeds);
}

TEST_F(CudaTest, ADestroyedStreamOrEventIsNoneAnyMore) {
  cudaStream_t stream = nullptr;
  ASSERT_CUDA(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, -1));
  ASSERT_CUDA(cudaStreamDestroy(stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
  cudaEvent_t event = nullptr;
  ASSERT_CUDA(cudaEventCreate(&event));
  ASSERT_CUDA(cudaEventDestroy(event));
  EXPECT_EQ(cudaEventQuery(event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 4U);
  EXPECT_EQ(cudaStreamCreateWithFlags(&stream, 8), cudaErrorInvalidValue);
  EXPECT_EQ(holdings().streams, 0U);
  EXPECT_EQ(holdings().events, 0U);
}

// --- copies and who may touch the host's memory --------------------------------------------------

// Two batches through one staging buffer.
bool staging_is_right(bool wait_before_reuse) {
  const PinnedWords staging(counting(kN));
  const DeviceWords a(kN);
  const DeviceWords b(kN);
  const OwnStream stream;
  EXPECT_CUDA(cudaMemcpyAsync(a.get(), staging.get(), a.bytes(), cudaMemcpyHostToDevice, stream));
  if (wait_before_reuse) {
    EXPECT_CUDA(cudaStreamSynchronize(stream));
  }
  std::ranges::copy(counting(kN, 1000), staging.get());
  EXPECT_CUDA(cudaMemcpyAsync(b.get(), staging.get(), b.bytes(), cudaMemcpyHostToDevice, stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  const bool right = a.read() == counting(kN) && b.read() == counting(kN, 1000);
  EXPECT_EQ(right, count_of(Finding::Kind::kRace) == 0);
  return right;
}

TEST_F(CudaTest, APinnedBufferUsedAgainTooEarlyIsCaught) {
  EXPECT_EQ(seeds_that([] { return staging_is_right(true); }), kSeeds);
  const std::uint64_t right = seeds_that([] { return staging_is_right(false); });
  EXPECT_LT(right, kSeeds * 3 / 4);
}

TEST_F(CudaTest, RegisteredMemoryIsPinned) {
  EXPECT_LT(seeds_that([] {
              Words own = counting(kN);
              EXPECT_CUDA(cudaHostRegister(own.data(), own.size() * 4, cudaHostRegisterDefault));
              const DeviceWords a(kN);
              const OwnStream stream;
              EXPECT_CUDA(
                  cudaMemcpyAsync(a.get(), own.data(), a.bytes(), cudaMemcpyHostToDevice, stream));
              own[7] = 0;
              EXPECT_CUDA(cudaStreamSynchronize(stream));
              EXPECT_CUDA(cudaHostUnregister(own.data()));
              return count_of(Finding::Kind::kRace) == 0;
            }),
            kSeeds);
}

TEST_F(CudaTest, PageableMemoryIsFreeAgainWhenTheCallReturns) {
  EXPECT_EQ(seeds_that([] {
              Words own = counting(kN);
              const DeviceWords a(kN);
              const OwnStream stream;
              EXPECT_CUDA(
                  cudaMemcpyAsync(a.get(), own.data(), a.bytes(), cudaMemcpyHostToDevice, stream));
              own.assign(kN, 0);
              EXPECT_CUDA(
                  cudaMemcpyAsync(own.data(), a.get(), a.bytes(), cudaMemcpyDeviceToHost, stream));
              return own == counting(kN) && findings().empty();
            }),
            kSeeds);
}

// cudaMemcpy from pageable memory may return before the device has the bytes; another stream that
// is not ordered behind the legacy one may miss them. From pinned memory it has them.
TEST_F(CudaTest, ASynchronousCopyIsSynchronousForPinnedMemory) {
  const auto with = [](bool pinned, bool wait) {
    return seeds_that([=] {
      const PinnedWords in(counting(kN));
      const Words pageable = counting(kN);
      const DeviceWords x(Words(kN, 0));
      const DeviceWords y(Words(kN, 0));
      const OwnStream stream;
      EXPECT_CUDA(cudaMemcpy(x.get(), pinned ? in.get() : pageable.data(), x.bytes(),
                             cudaMemcpyHostToDevice));
      if (wait) {
        EXPECT_CUDA(cudaStreamSynchronize(nullptr));
      }
      axpy(1, x.get(), y.get(), kN, stream);
      EXPECT_CUDA(cudaDeviceSynchronize());
      return y.read() == counting(kN);
    });
  };
  EXPECT_EQ(with(true, false), kSeeds);
  EXPECT_EQ(with(false, true), kSeeds);
  EXPECT_LT(with(false, false), kSeeds);
}

TEST_F(CudaTest, TheHostWritingWhereACopyWillPutSomethingIsFound) {
  const auto races = [](bool write) {
    return seeds_that([=] {
      const DeviceWords x(counting(kN));
      const PinnedWords out(Words(kN, 0));
      const OwnStream stream;
      EXPECT_CUDA(cudaMemcpyAsync(out.get(), x.get(), out.bytes(), cudaMemcpyDeviceToHost, stream));
      if (write) out.get()[3] = 1;
      EXPECT_CUDA(cudaStreamSynchronize(stream));
      const bool race = found(Finding::Kind::kRace, "written to before it ran");
      EXPECT_EQ(out.read() == counting(kN), race || !write) << "written to afterwards";
      return race;
    });
  };
  EXPECT_EQ(races(false), 0U);
  EXPECT_GT(races(true), kSeeds / 4);
}

// Order in the stream makes it right for copies and host functions to share a buffer.
TEST_F(CudaTest, WorkInOrderMayShareABuffer) {
  EXPECT_EQ(
      seeds_that([] {
        const PinnedWords shared(counting(kN));
        const DeviceWords a(kN);
        const DeviceWords b(kN);
        const DeviceWords c(counting(kN, 500));
        const OwnStream s;
        EXPECT_CUDA(cudaMemcpyAsync(a.get(), shared.get(), a.bytes(), cudaMemcpyHostToDevice, s));
        EXPECT_CUDA(cudaMemcpyAsync(shared.get(), c.get(), a.bytes(), cudaMemcpyDeviceToHost, s));
        const auto add = [](void* data) { ++*static_cast<std::uint32_t*>(data); };
        EXPECT_CUDA(cudaLaunchHostFunc(s, add, shared.get()));
        EXPECT_CUDA(cudaMemcpyAsync(b.get(), shared.get(), a.bytes(), cudaMemcpyHostToDevice, s));
        EXPECT_CUDA(cudaStreamSynchronize(s));
        Words expected = counting(kN, 500);
        ++expected[0];
        return a.read() == counting(kN) && b.read() == expected && findings().empty();
      }),
      kSeeds);
}

TEST_F(CudaTest, ABufferMayGoOutAndInAgain) {
  EXPECT_EQ(
      seeds_that([] {
        const PinnedWords shared(counting(kN, 9000));
        const DeviceWords a(counting(kN));
        const DeviceWords b(kN);
        const OwnStream s;
        EXPECT_CUDA(cudaMemcpyAsync(shared.get(), a.get(), a.bytes(), cudaMemcpyDeviceToHost, s));
        EXPECT_CUDA(cudaMemcpyAsync(b.get(), shared.get(), a.bytes(), cudaMemcpyHostToDevice, s));
        EXPECT_CUDA(cudaStreamSynchronize(s));
        return b.read() == counting(kN) && findings().empty();
      }),
      kSeeds);
}

// --- memory given back too early -----------------------------------------------------------------

TEST_F(CudaTest, GivingBackMemoryInUseIsFound) {
  const auto races = [](bool wait, bool device) {
    return seeds_that([=] {
      std::uint32_t* x = nullptr;
      std::uint32_t* host = nullptr;
      EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&x), kN * 4));
      EXPECT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&host), kN * 4));
      std::ranges::copy(counting(kN), host);
      const OwnStream stream;
      EXPECT_CUDA(cudaMemcpyAsync(x, host, kN * 4, cudaMemcpyHostToDevice, stream));
      axpy(1, x, x, kN, stream);
      if (wait) {
        EXPECT_CUDA(cudaStreamSynchronize(stream));
      }
      EXPECT_CUDA(device ? cudaFree(x) : cudaFreeHost(host));
      const bool race =
          found(Finding::Kind::kRace, device ? "cudaFree of memory in use" : "cudaFreeHost of");
      EXPECT_CUDA(device ? cudaFreeHost(host) : cudaStreamSynchronize(stream));
      if (!device) {
        EXPECT_CUDA(cudaFree(x));
      }
      EXPECT_FALSE(last_device_fault());
      return race;
    });
  };
  EXPECT_EQ(races(true, true), 0U);
  EXPECT_EQ(races(true, false), 0U);
  EXPECT_GT(races(false, true), kSeeds / 2);
  EXPECT_GT(races(false, false), kSeeds / 4);
}

TEST_F(CudaTest, StreamOrderedMemoryLivesInItsStream) {
  EXPECT_EQ(seeds_that([] {
              const OwnStream stream;
              const Words in = counting(kN);
              Words out(kN);
              void* x = nullptr;
              EXPECT_CUDA(cudaMallocAsync(&x, kN * 4, stream));
              EXPECT_CUDA(cudaMemcpyAsync(x, in.data(), kN * 4, cudaMemcpyHostToDevice, stream));
              EXPECT_CUDA(cudaMemcpyAsync(out.data(), x, kN * 4, cudaMemcpyDeviceToHost, stream));
              EXPECT_CUDA(cudaFreeAsync(x, stream));
              EXPECT_EQ(cudaFreeAsync(x, stream), cudaErrorInvalidValue);
              EXPECT_EQ(cudaMemsetAsync(x, 0, 4, stream), cudaErrorInvalidValue);
              EXPECT_EQ(count_of(Finding::Kind::kMisuse), 2U);
              EXPECT_CUDA(cudaStreamSynchronize(stream));
              EXPECT_EQ(holdings().allocations, 0U);
              return out == in && !last_device_fault();
            }),
            kSeeds);
  const auto faults = [](bool wait_for_event) {
    return seeds_that([=] {
      const OwnStream first;
      const OwnStream second;
      const OwnEvent allocated;
      void* x = nullptr;
      EXPECT_CUDA(cudaMallocAsync(&x, 4, first));
      EXPECT_CUDA(cudaEventRecord(allocated, first));
      if (wait_for_event) {
        EXPECT_CUDA(cudaStreamWaitEvent(second, allocated, 0));
      }
      store(static_cast<std::uint32_t*>(x), 1, second);
      const cudaError_t error = cudaDeviceSynchronize();
      EXPECT_EQ(error != cudaSuccess, last_device_fault().has_value());
      if (error == cudaSuccess) {
        EXPECT_CUDA(cudaFree(x));
      }
      return error == cudaErrorIllegalAddress;
    });
  };
  EXPECT_EQ(faults(true), 0U);
  EXPECT_GT(faults(false), 0U);
}

// --- events --------------------------------------------------------------------------------------

TEST_F(CudaTest, EventsMeasureTime) {
  const DeviceWords x(counting(kN));
  const OwnEvent start(cudaEventDefault);
  const OwnEvent end(cudaEventDefault);
  const OwnEvent untimed(cudaEventDisableTiming);
  float ms = -1;
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
  EXPECT_CUDA(cudaEventRecord(start, nullptr));
  axpy(1, x.get(), x.get(), kN);
  EXPECT_CUDA(cudaEventRecord(end, nullptr));
  EXPECT_CUDA(cudaEventRecord(untimed, nullptr));
  EXPECT_CUDA(cudaEventSynchronize(untimed));
  EXPECT_CUDA(cudaEventElapsedTime(&ms, start, end));
  EXPECT_GE(ms, 0);
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, untimed), cudaErrorInvalidResourceHandle);
  EXPECT_GT(seeds_that([] {
              const OwnEvent event(cudaEventDefault);
              EXPECT_CUDA(cudaEventRecord(event, nullptr));
              float time = 0;
              const cudaError_t error = cudaEventElapsedTime(&time, event, event);
              EXPECT_CUDA(cudaEventSynchronize(event));
              return error == cudaErrorNotReady;
            }),
            0U);
}

TEST_F(CudaTest, AnEventIsWhatItWasLastRecordedFor) {
  EXPECT_EQ(seeds_that([] {
              const DeviceWords x(Words(kN, 0));
              const DeviceWords one(Words(kN, 1));
              const PinnedWords out(kN);
              const OwnStream first;
              const OwnStream second;
              cudaEvent_t event = nullptr;
              EXPECT_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
              EXPECT_CUDA(cudaStreamWaitEvent(second, event, 0)) << "never recorded: nothing";
              EXPECT_CUDA(cudaEventRecord(event, first));
              axpy(1, one.get(), x.get(), kN, first);
              EXPECT_CUDA(cudaEventRecord(event, first));
              EXPECT_CUDA(cudaStreamWaitEvent(second, event, 0));
              // What was captured stays so, recorded anew or destroyed.
              EXPECT_CUDA(cudaEventRecord(event, second));
              EXPECT_CUDA(cudaEventDestroy(event));
              EXPECT_CUDA(
                  cudaMemcpyAsync(out.get(), x.get(), out.bytes(), cudaMemcpyDeviceToHost, second));
              EXPECT_CUDA(cudaStreamSynchronize(second));
              return out.read() == Words(kN, 1);
            }),
            kSeeds);
}

// --- host functions and threads ------------------------------------------------------------------

TEST_F(CudaTest, AHostFunctionMustNotCallCuda) {
  cudaError_t error = cudaSuccess;
  const auto ask = [](void* data) { *static_cast<cudaError_t*>(data) = cudaStreamQuery(nullptr); };
  EXPECT_CUDA(cudaLaunchHostFunc(nullptr, ask, &error));
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(error, cudaErrorNotPermitted);
  EXPECT_TRUE(found(Finding::Kind::kMisuse, "called from a host function"));
}

// A call that queues must not wait for a function that wants the caller's lock.
TEST_F(CudaTest, QueueingUnderALockThatAHostFunctionTakes) {
  std::mutex mutex;
  EXPECT_EQ(seeds_that([&] {
              const auto lock = [](void* data) {
                const std::scoped_lock guard(*static_cast<std::mutex*>(data));
              };
              {
                const std::scoped_lock guard(mutex);
                for (int i = 0; i < 20; ++i) EXPECT_CUDA(cudaLaunchHostFunc(nullptr, lock, &mutex));
              }
              EXPECT_CUDA(cudaDeviceSynchronize());
              return true;
            }),
            kSeeds);
}

TEST_F(CudaTest, WorkGoesOnWhenNobodyCalls) {
  for (const Pace pace : {Pace::kStepped, Pace::kFree}) {
    Settings settings = settings_of(4, pace);
    settings.idle_us = 500;
    power_cycle(settings);
    struct Signal {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
    } signal;
    const DeviceWords x(counting(kN));
    axpy(1, x.get(), x.get(), kN);
    const auto tell = [](void* data) {
      auto* const own = static_cast<Signal*>(data);
      const std::scoped_lock guard(own->mutex);
      own->done = true;
      own->changed.notify_one();
    };
    EXPECT_CUDA(cudaLaunchHostFunc(nullptr, tell, &signal));
    std::unique_lock lock(signal.mutex);
    signal.changed.wait(lock, [&] { return signal.done; });
  }
}

TEST_F(CudaTest, ManyThreadsHaveStreamsOfTheirOwn) {
  for (const Pace pace : {Pace::kStepped, Pace::kFree}) {
    power_cycle(settings_of(5, pace));
    constexpr unsigned kThreads = 8;
    std::atomic<unsigned> right = 0;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&right, t] {
        const PinnedWords in(counting(kN, t));
        const PinnedWords out(kN);
        const DeviceWords x(kN);
        const DeviceWords y(kN);
        const OwnStream stream;
        for (std::uint32_t round = 1; round <= 10; ++round) {
          EXPECT_CUDA(
              cudaMemcpyAsync(x.get(), in.get(), in.bytes(), cudaMemcpyHostToDevice, stream));
          EXPECT_CUDA(cudaMemsetAsync(y.get(), 0, y.bytes(), stream));
          axpy(round, x.get(), y.get(), kN, stream);
          EXPECT_CUDA(
              cudaMemcpyAsync(out.get(), y.get(), out.bytes(), cudaMemcpyDeviceToHost, stream));
          EXPECT_CUDA(cudaStreamSynchronize(stream));
          if (out.read() == times(counting(kN, t), round)) ++right;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, kThreads * 10);
    EXPECT_TRUE(findings().empty());
    EXPECT_EQ(holdings().streams, 0U);
    EXPECT_EQ(holdings().allocations, 0U);
    EXPECT_EQ(holdings().pinned, 0U);
  }
}

// Everything queued before anything is waited for.
TEST_F(CudaTest, AThousandBatchesInFlight) {
  power_cycle(settings_of(8));  // a seed that lets nothing run by itself
  constexpr unsigned kThreads = 8;
  constexpr unsigned kBatches = 125;
  constexpr std::uint32_t kWords = 8;
  std::atomic<unsigned> right = 0;
  std::atomic<std::size_t> queued_max = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const PinnedWords in(counting(kBatches * kWords, t));
      const PinnedWords out(kBatches * kWords);
      const DeviceWords x(kBatches * kWords);
      const DeviceWords y(kBatches * kWords);
      const OwnStream streams[2];
      const std::size_t bytes = kWords * sizeof(std::uint32_t);
      for (unsigned batch = 0; batch < kBatches; ++batch) {
        const std::size_t at = batch * kWords;
        const cudaStream_t stream = streams[batch % 2];
        EXPECT_CUDA(
            cudaMemcpyAsync(x.get() + at, in.get() + at, bytes, cudaMemcpyHostToDevice, stream));
        EXPECT_CUDA(cudaMemsetAsync(y.get() + at, 0, bytes, stream));
        axpy(3, x.get() + at, y.get() + at, kWords, stream);
        EXPECT_CUDA(
            cudaMemcpyAsync(out.get() + at, y.get() + at, bytes, cudaMemcpyDeviceToHost, stream));
      }
      queued_max = std::max(queued_max.load(), holdings().queued);
      for (const OwnStream& stream : streams) EXPECT_CUDA(cudaStreamSynchronize(stream));
      if (out.read() == times(counting(kBatches * kWords, t), 3)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads);
  EXPECT_GT(queued_max, 400U);
  EXPECT_TRUE(findings().empty());
}

}  // namespace
}  // namespace colophon::gpu_emulator::test
