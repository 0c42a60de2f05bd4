// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/read_rate.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kvtoll/core/clock.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/device/bandwidth_probe.h"

namespace kvtoll::profiler {
namespace {

double host_read_gb_s(int threads) {
  constexpr size_t kBytes = size_t{256} << 20;
  std::vector<uint64_t> data(kBytes / sizeof(uint64_t), 1);  // written, so that pages are there
  ThreadPool pool(threads);
  std::atomic<uint64_t> sink{0};
  double best = 0.0;
  for (int pass = 0; pass < 5; ++pass) {
    const Nanoseconds start = now();
    pool.parallel_for(static_cast<int64_t>(data.size()), 8, [&](int64_t begin, int64_t end) {
      uint64_t sums[8] = {};  // independent chains, so that the adds do not limit the loads
      for (int64_t i = begin; i + 8 <= end; i += 8)
        for (int k = 0; k < 8; ++k) sums[k] += data[static_cast<size_t>(i + k)];
      for (const uint64_t s : sums) sink += s;
    });
    best = std::max(best, gb_per_s(Bytes(kBytes), now() - start));
  }
  return best;
}

}  // namespace

Result<double> measure_read_gb_s(const std::string& backend, int device, int threads) {
  if (backend != "cuda") return host_read_gb_s(threads);
  KVTOLL_TRY(const MeasuredBandwidth measured, measure_bandwidth(device));
  return measured.read_gb_s;
}

}  // namespace kvtoll::profiler
