// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/thread_pool.h"

#include <algorithm>

#include "kvtoll/core/host.h"

namespace kvtoll {
namespace {

constexpr int kSpins =
    20000;  // about 50 us: longer than the gap between two operations of a decode step

constexpr int kPieces = 4;  // per thread: evens out threads that the system runs unevenly

int64_t unclaimed(uint64_t ticket) { return static_cast<int64_t>(ticket & 0xffffffffu); }

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = physical_cores();
  for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::for_each(int64_t n, const std::function<void(int, int64_t)>& body) {
  if (workers_.empty() || n <= 1) {
    for (int64_t i = 0; i < n; ++i) body(0, i);
    return;
  }
  body_.store(&body, std::memory_order_relaxed);
  count_.store(n, std::memory_order_relaxed);
  unfinished_.store(n, std::memory_order_relaxed);
  const uint64_t loop = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(loop << 32 | static_cast<uint64_t>(n), std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  drain(0);
  for (int spin = 0; unfinished_.load(std::memory_order_acquire) > 0; ++spin) {
    relax();
    if (spin > kSpins) std::this_thread::yield();
  }
}

void ThreadPool::drain(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (unclaimed(ticket) > 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    const int64_t piece = count_.load(std::memory_order_relaxed) - unclaimed(ticket);
    (*body_.load(std::memory_order_relaxed))(thread, piece);
    unfinished_.fetch_sub(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  const int64_t grains = (n + grain - 1) / grain;
  const int64_t pieces = std::min<int64_t>(grains, int64_t{size()} * (size() > 1 ? kPieces : 1));
  for_each(pieces, [&](int, int64_t piece) {
    const int64_t begin = grains * piece / pieces * grain;
    const int64_t end = std::min(n, grains * (piece + 1) / pieces * grain);
    if (begin < end) body(begin, end);
  });
}

void ThreadPool::work(int thread) {
  while (true) {
    for (int spin = 0; unclaimed(ticket_.load(std::memory_order_acquire)) == 0; ++spin) {
      if (stop_) return;
      relax();
      if (spin < kSpins) continue;
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock,
                 [&] { return stop_ || unclaimed(ticket_.load(std::memory_order_seq_cst)) > 0; });
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
    drain(thread);
  }
}

}  // namespace kvtoll
