// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A fixed set of threads for data-parallel loops of a few microseconds: workers spin briefly
// between loops, then sleep. Example: pool.run([&](int thread) { ... });   or
// pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) { ... });
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kvtoll {

class ThreadPool {
 public:
  // threads <= 0: one per physical core that this process may use. The caller is thread 0; threads
  // - 1 are started.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }
  // Calls job(thread) once on every thread, 0 <= thread < size(), and returns when all have
  // returned.
  void run(const std::function<void(int)>& job);
  // Splits [0, n) into one contiguous range per thread, each a multiple of `grain` (but the last).
  void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  void work(int thread);
  std::vector<std::thread> workers_;
  const std::function<void(int)>* job_ = nullptr;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

// Physical cores this process may run on (its affinity mask, one per core where the kernel tells
// siblings apart).
int physical_cores();

}  // namespace kvtoll
