// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention of whole sequences over threads: splits jobs into (job, kv head, piece of positions)
// when decoding and (job, kv head, token) at prefill, runs attend_chunk on each and merges. The
// result does not depend on the number of threads. Example: attend_jobs(shape, jobs, pool, space);
#pragma once

#include <cstdint>
#include <vector>

#include "kvtoll/backends/cpu/buffer.h"
#include "kvtoll/cache/exact_rows.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cpu {

struct AttentionShape {
  int heads = 0, kv_heads = 0, head_dim = 0;
  int gqa() const { return heads / kv_heads; }
};

// Positions that neither K nor V interrupts; both segments hold the same number of tokens.
struct AttentionRun {
  KvSegment k, v;
};

// The n newest positions of one sequence attend to everything up to themselves.
struct AttentionJob {
  const float* q = nullptr;  // [n, heads * head_dim]
  float* out = nullptr;      // [n, heads * head_dim]
  int64_t n = 0;
  std::vector<AttentionRun> runs;  // in order of position; the last n positions are the job's own
};

// Cuts the segments of K and of V (same total) into runs.
std::vector<AttentionRun> zip_segments(const std::vector<KvSegment>& k,
                                       const std::vector<KvSegment>& v);

struct AttentionSpace {
  Buffer partial;  // softmax states of split pieces
  Buffer scratch;  // per thread
};

void attend_jobs(const AttentionShape& shape, const std::vector<AttentionJob>& jobs,
                 ThreadPool& pool, AttentionSpace& space);

// Bytes that the jobs must move: each cached position and each query read, each output written.
Bytes attention_bytes(const AttentionShape& shape, const std::vector<AttentionJob>& jobs);

}  // namespace kvtoll::cpu
