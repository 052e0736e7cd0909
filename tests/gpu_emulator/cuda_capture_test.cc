// SPDX-License-Identifier: Apache-2.0
//
// Stream capture and graphs.
#include <string>
#include <thread>

#include "tests/gpu_emulator/cuda_program.h"

namespace colophon::gpu_emulator::test {
namespace {

constexpr std::uint32_t kN = kBlock;

class OwnGraph {
 public:
  // Captures what `queue` puts on the stream. Null when that fails.
  OwnGraph(cudaStream_t stream, const std::function<void()>& queue,
           cudaError_t expected = cudaSuccess) {
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    queue();
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), expected);
    EXPECT_EQ(graph == nullptr, expected != cudaSuccess);
    if (graph == nullptr) return;
    EXPECT_CUDA(cudaGraphInstantiate(&exec_, graph, 0));
    EXPECT_CUDA(cudaGraphDestroy(graph));
  }
  OwnGraph(const OwnGraph&) = delete;
  OwnGraph& operator=(const OwnGraph&) = delete;
  ~OwnGraph() {
    if (exec_ != nullptr) {
      EXPECT_CUDA(cudaGraphExecDestroy(exec_));
    }
  }
  operator cudaGraphExec_t() const { return exec_; }  // NOLINT: implicit

 private:
  cudaGraphExec_t exec_ = nullptr;
};

TEST_F(CudaTest, AGraphIsLaunchedAgainAndAgain) {
  EXPECT_EQ(
      seeds_that([] {
        const PinnedWords in(kN);
        const PinnedWords out(kN);
        const DeviceWords x(kN);
        const DeviceWords y(kN);
        const OwnStream s;
        const OwnGraph graph(s, [&] {
          EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), x.bytes(), cudaMemcpyHostToDevice, s));
          EXPECT_CUDA(cudaMemsetAsync(y.get(), 0, y.bytes(), s));
          axpy(3, x.get(), y.get(), kN, s);
          EXPECT_CUDA(cudaMemcpyAsync(out.get(), y.get(), y.bytes(), cudaMemcpyDeviceToHost, s));
        });
        EXPECT_EQ(calls("kernel"), 0U) << "capturing runs nothing";
        EXPECT_CUDA(cudaGraphUpload(graph, s));
        bool right = true;
        for (std::uint32_t round = 0; round < 3; ++round) {
          std::ranges::copy(counting(kN, round), in.get());
          EXPECT_CUDA(cudaGraphLaunch(graph, s));
          EXPECT_CUDA(cudaStreamSynchronize(s));
          for (std::uint32_t i = 0; i < kN; ++i) right &= out.get()[i] == 3 * (round + i);
        }
        EXPECT_EQ(calls("kernel"), 3U);
        EXPECT_TRUE(findings().empty());
        return right;
      }),
      kSeeds);
}

// What is between a graph's launches is as in any stream.
TEST_F(CudaTest, AGraphsBufferUsedAgainTooEarlyIsCaught) {
  EXPECT_LT(
      seeds_that([] {
        const PinnedWords in(counting(kN));
        const DeviceWords x(kN);
        const OwnStream s;
        const OwnGraph graph(s, [&] {
          EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), x.bytes(), cudaMemcpyHostToDevice, s));
        });
        EXPECT_CUDA(cudaGraphLaunch(graph, s));
        in.get()[0] = 0;
        EXPECT_CUDA(cudaStreamSynchronize(s));
        return findings().empty();
      }),
      kSeeds * 3 / 4);
}

// Two branches in streams of their own, joined by events; `fork` left out, the copy is not before.
bool forked_graph_is_right(bool order_branches) {
  const PinnedWords in(counting(kN));
  const DeviceWords x(Words(kN, 0));
  const DeviceWords y(Words(kN, 0));
  const OwnStream a;
  const OwnStream b;
  const OwnEvent begin;
  const OwnEvent copied;
  const OwnEvent end;
  const OwnGraph graph(a, [&] {
    EXPECT_CUDA(cudaEventRecord(begin, a));
    EXPECT_CUDA(cudaStreamWaitEvent(b, begin, 0));
    EXPECT_CUDA(cudaMemcpyAsync(x.get(), in.get(), x.bytes(), cudaMemcpyHostToDevice, a));
    if (order_branches) {
      EXPECT_CUDA(cudaEventRecord(copied, a));
      EXPECT_CUDA(cudaStreamWaitEvent(b, copied, 0));
    }
    axpy(1, x.get(), y.get(), kN, b);
    EXPECT_CUDA(cudaEventRecord(end, b));
    EXPECT_CUDA(cudaStreamWaitEvent(a, end, 0));
  });
  EXPECT_CUDA(cudaGraphLaunch(graph, a));
  EXPECT_CUDA(cudaStreamSynchronize(a));
  return y.read() == counting(kN);
}

TEST_F(CudaTest, BranchesOfAGraphAreOrderedByEventsOnly) {
  EXPECT_EQ(seeds_that([] { return forked_graph_is_right(true); }), kSeeds);
  EXPECT_LT(seeds_that([] { return forked_graph_is_right(false); }), kSeeds * 9 / 10);
}

TEST_F(CudaTest, LaunchesOfOneGraphAreInOrderInAnyStreams) {
  const auto right = [](bool one_graph) {
    return seeds_that([=] {
      const DeviceWords x(Words{1});
      const DeviceWords one(Words{1});
      const OwnStream a;
      const OwnStream b;
      // x = 1 + x each; in order, 3 at the end.
      const auto add = [&] { axpy(1, one.get(), x.get(), 1, a); };
      const auto set = [&] { EXPECT_CUDA(cudaMemsetAsync(x.get(), 0, 4, a)); };
      const OwnGraph first(a, [&] {
        set();
        add();
        add();
        add();
      });
      const OwnGraph second(a, [&] {
        set();
        add();
        add();
        add();
      });
      EXPECT_CUDA(cudaGraphLaunch(first, a));
      EXPECT_CUDA(cudaGraphLaunch(one_graph ? first : second, b));
      EXPECT_CUDA(cudaDeviceSynchronize());
      return x.read() == Words{3};
    });
  };
  EXPECT_EQ(right(true), kSeeds);
  EXPECT_LT(right(false), kSeeds);
}

TEST_F(CudaTest, AnEmptyGraphKeepsTheOrderOfItsStream) {
  EXPECT_EQ(seeds_that([] {
              const DeviceWords x(Words{5});
              const PinnedWords out(1);
              const OwnStream s;
              const OwnGraph nothing(s, [] {});
              axpy(2, x.get(), x.get(), 1, s);
              EXPECT_CUDA(cudaGraphLaunch(nothing, s));
              EXPECT_CUDA(cudaMemcpyAsync(out.get(), x.get(), 4, cudaMemcpyDeviceToHost, s));
              EXPECT_CUDA(cudaStreamSynchronize(s));
              return out.read() == Words{15};
            }),
            kSeeds);
}

TEST_F(CudaTest, AnExecutableGraphMayGoWhileItRuns) {
  EXPECT_EQ(seeds_that([] {
              const DeviceWords x(Words{5});
              const DeviceWords y(Words{1});
              const OwnStream s;
              {
                const OwnGraph graph(s, [&] { axpy(2, x.get(), y.get(), 1, s); });
                EXPECT_CUDA(cudaGraphLaunch(graph, s));
              }
              EXPECT_CUDA(cudaStreamSynchronize(s));
              EXPECT_EQ(holdings().graphs, 0U);
              return y.read() == Words{11};
            }),
            kSeeds);
}

// --- what a capture forbids ----------------------------------------------------------------------

cudaStreamCaptureStatus status_of(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  EXPECT_CUDA(cudaStreamIsCapturing(stream, &status));
  return status;
}

TEST_F(CudaTest, WaitingForACapturedStreamSpoilsTheCapture) {
  const OwnStream s;
  const OwnGraph graph(
      s,
      [&] {
        EXPECT_EQ(status_of(s), cudaStreamCaptureStatusActive);
        EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
        EXPECT_EQ(status_of(s), cudaStreamCaptureStatusInvalidated);
        EXPECT_EQ(cudaMemsetAsync(nullptr, 0, 0, s), cudaSuccess) << "nothing to do";
        const auto nothing = [](void*) {};
        EXPECT_EQ(cudaLaunchHostFunc(s, nothing, nullptr), cudaErrorStreamCaptureInvalidated);
      },
      cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(status_of(s), cudaStreamCaptureStatusNone);
  EXPECT_CUDA(cudaStreamSynchronize(s));
}

TEST_F(CudaTest, CallsThatMayWaitAreForbiddenByTheMode) {
  const auto error_of_malloc = [](cudaStreamCaptureMode mode, bool other_thread) {
    const OwnStream s;
    EXPECT_CUDA(cudaStreamBeginCapture(s, mode));
    cudaError_t error = cudaSuccess;
    const auto allocate = [&] {
      void* pointer = nullptr;
      error = cudaMalloc(&pointer, 16);
      if (error == cudaSuccess && mode != cudaStreamCaptureModeGlobal) {
        EXPECT_CUDA(cudaFree(pointer));
      }
    };
    if (other_thread) {
      std::thread(allocate).join();
    } else {
      allocate();
    }
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(s, &graph),
              error == cudaSuccess ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
    if (graph != nullptr) {
      EXPECT_CUDA(cudaGraphDestroy(graph));
    }
    return error;
  };
  EXPECT_EQ(error_of_malloc(cudaStreamCaptureModeGlobal, false), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(error_of_malloc(cudaStreamCaptureModeGlobal, true), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(error_of_malloc(cudaStreamCaptureModeThreadLocal, false),
            cudaErrorStreamCaptureUnsupported);
  EXPECT_CUDA(error_of_malloc(cudaStreamCaptureModeThreadLocal, true));
  EXPECT_CUDA(error_of_malloc(cudaStreamCaptureModeRelaxed, false));
}

TEST_F(CudaTest, WorkThatIsNotJoinedIsAnError) {
  const DeviceWords x(Words{5});
  const OwnStream a;
  const OwnStream b;
  const OwnEvent fork;
  const OwnGraph graph(
      a,
      [&] {
        EXPECT_CUDA(cudaEventRecord(fork, a));
        EXPECT_CUDA(cudaStreamWaitEvent(b, fork, 0));
        store(x.get(), 1, b);
      },
      cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(status_of(b), cudaStreamCaptureStatusNone);
}

TEST_F(CudaTest, CapturesKeepToThemselves) {
  const OwnStream a;
  const OwnStream b;
  const OwnStream c(cudaStreamDefault);
  const OwnEvent outside;
  const OwnEvent inside;
  const DeviceWords x(Words{5});
  EXPECT_CUDA(cudaEventRecord(outside, b));
  {
    const OwnGraph graph(
        a, [&] { EXPECT_EQ(cudaStreamWaitEvent(a, outside, 0), cudaErrorStreamCaptureIsolation); },
        cudaErrorStreamCaptureInvalidated);
  }
  {
    const OwnGraph graph(
        a,
        [&] {
          EXPECT_CUDA(cudaEventRecord(inside, a));
          EXPECT_EQ(cudaEventQuery(inside), cudaErrorCapturedEvent);
        },
        cudaErrorStreamCaptureInvalidated);
  }
  {
    const OwnGraph graph(
        a,
        [&] {
          EXPECT_CUDA(cudaStreamBeginCapture(b, cudaStreamCaptureModeRelaxed));
          EXPECT_CUDA(cudaEventRecord(inside, a));
          EXPECT_EQ(cudaStreamWaitEvent(b, inside, 0), cudaErrorStreamCaptureMerge);
          cudaGraph_t none = nullptr;
          EXPECT_EQ(cudaStreamEndCapture(b, &none), cudaErrorStreamCaptureInvalidated);
        },
        cudaErrorStreamCaptureInvalidated);
  }
  {
    // The legacy stream would have to wait for what is only captured.
    const OwnGraph graph(
        c, [&] { EXPECT_EQ(cudaMemsetAsync(x.get(), 0, 4), cudaErrorStreamCaptureImplicit); },
        cudaErrorStreamCaptureInvalidated);
    const OwnGraph other(a, [&] { EXPECT_CUDA(cudaMemsetAsync(x.get(), 0, 4)); });
  }
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
            cudaErrorStreamCaptureUnsupported);
  cudaGraph_t none = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(a, &none), cudaErrorIllegalState);
}

TEST_F(CudaTest, AnEventOfACaptureIsNothingAfterIt) {
  const OwnStream a;
  const OwnStream b;
  const OwnEvent event;
  const DeviceWords x(Words{5});
  const OwnGraph graph(a, [&] {
    store(x.get(), 1, a);
    EXPECT_CUDA(cudaEventRecord(event, a));
  });
  EXPECT_EQ(cudaStreamWaitEvent(b, event, 0), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorCapturedEvent);
  EXPECT_CUDA(cudaEventRecord(event, a));
  EXPECT_CUDA(cudaStreamWaitEvent(b, event, 0));
  EXPECT_CUDA(cudaEventSynchronize(event));
}

TEST_F(CudaTest, ASynchronousCopySpoilsACapture) {
  const OwnStream a;
  const DeviceWords x(Words{5});
  const OwnGraph graph(
      a,
      [&] {
        std::uint32_t word = 0;
        EXPECT_EQ(cudaMemcpy(&word, x.get(), 4, cudaMemcpyDeviceToHost),
                  cudaErrorStreamCaptureUnsupported);
      },
      cudaErrorStreamCaptureInvalidated);
}

TEST_F(CudaTest, ACaptureEndsWhereItBegan) {
  const OwnStream a;
  const OwnStream b;
  const OwnEvent fork;
  EXPECT_CUDA(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  std::thread([&] {
    EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureWrongThread);
  }).join();
  EXPECT_CUDA(cudaStreamEndCapture(a, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
  EXPECT_EQ(cudaGraphDestroy(graph), cudaErrorInvalidValue);

  EXPECT_CUDA(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
  EXPECT_CUDA(cudaEventRecord(fork, a));
  EXPECT_CUDA(cudaStreamWaitEvent(b, fork, 0));
  EXPECT_EQ(cudaStreamEndCapture(b, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(CudaTest, WhatGraphsCannotDoHereIsSaid) {
  const OwnStream a;
  const OwnGraph inner(a, [] {});
  const OwnGraph outer(
      a,
      [&] {
        EXPECT_EQ(cudaGraphLaunch(inner, a), cudaErrorNotSupported);
        EXPECT_TRUE(found(Finding::Kind::kMisuse, "not emulated"));
      },
      cudaErrorStreamCaptureInvalidated);
  void* pointer = nullptr;
  const OwnGraph memory(
      a, [&] { EXPECT_EQ(cudaMallocAsync(&pointer, 16, a), cudaErrorNotSupported); },
      cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(holdings().allocations, 0U);
  EXPECT_EQ(cudaGraphLaunch(nullptr, a), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace colophon::gpu_emulator::test
