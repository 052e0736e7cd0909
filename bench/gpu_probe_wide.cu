// SPDX-License-Identifier: Apache-2.0
#define COLOPHON_REDUCE_BY_WIDE 1
#include "bench/gpu_probe_loop.h"

namespace colophon::bench {

extern "C" __global__ void __launch_bounds__(kProbeThreads) probe_p256_by_wide(ProbeWork work) {
  probe_loop<Multiplications>(work);
}

}  // namespace colophon::bench
