// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cpu/attention_jobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kvtoll/backends/cpu/bytes.h"
#include "kvtoll/backends/cpu/kernels.h"

namespace kvtoll::cpu {
namespace {

constexpr int64_t kFloat = sizeof(float);
// Below this much memory traffic, attention stays on one thread: waking the others costs more.
constexpr int64_t kParallelBytes = 1 << 15;

KvSegment part(KvSegment segment, int64_t offset, int64_t tokens) {
  segment.data = segment.row(0, offset);
  segment.tokens = tokens;
  return segment;
}

struct Piece {
  const AttentionRun* run;
  int64_t offset, count;  // inside the run
  int64_t begin;          // first position
};

// One thread's unit: a token's query heads of one kv head over pieces [first, last).
struct Item {
  const AttentionJob* job;
  const std::vector<Piece>* pieces;
  int64_t token;
  int kv_head;
  size_t first, last;
  int64_t partial;  // index of its softmax state, -1: it covers all positions and writes `out`
};

std::vector<Piece> cut(const AttentionJob& job) {
  std::vector<Piece> pieces;
  int64_t begin = 0;
  for (const AttentionRun& run : job.runs) {
    for (int64_t at = 0; at < run.k.tokens; at += kAttentionChunk)
      pieces.push_back({&run, at, std::min(kAttentionChunk, run.k.tokens - at), begin + at});
    begin += run.k.tokens;
  }
  return pieces;
}

int64_t positions(const AttentionJob& job) {
  int64_t sum = 0;
  for (const AttentionRun& run : job.runs) sum += run.k.tokens;
  return sum;
}

class Attender {
 public:
  Attender(const AttentionShape& shape, AttentionSpace& space)
      : shape_(shape), gqa_(shape.gqa()), dim_(shape.head_dim), space_(space) {}

  int64_t state_floats() const { return gqa_ * (dim_ + 2); }
  int64_t scratch_floats() const { return state_floats() + gqa_ * kAttentionChunk; }

  void run(const Item& item, int thread) const {
    float* scratch = space_.scratch.as<float>() + thread * scratch_floats();
    float* place = item.partial < 0 ? scratch : partial(item.partial);
    const AttentionState state = fresh_state(place);
    const int64_t visible = positions(*item.job) - item.job->n + item.token + 1;
    for (size_t p = item.first; p < item.last; ++p) {
      const Piece& piece = (*item.pieces)[p];
      const int64_t count = std::min(piece.count, visible - piece.begin);
      if (count <= 0) break;
      const KvSegment &k = piece.run->k, &v = piece.run->v;
      attend_chunk({.k = k.row(item.kv_head, piece.offset),
                    .v = v.row(item.kv_head, piece.offset),
                    .k_dtype = k.dtype,
                    .v_dtype = v.dtype,
                    .k_stride = k.row_stride,
                    .v_stride = v.row_stride,
                    .count = count},
                   item.job->q + query_offset(item), static_cast<int>(gqa_), dim_,
                   1.0f / std::sqrt(static_cast<float>(dim_)), state, scratch + state_floats());
    }
    if (item.partial < 0) write(item, state);
  }

  // Merges the states of consecutive items (the pieces of one token and kv head) in their order.
  void merge(const Item& first, int64_t count) const {
    const AttentionState total = state_at(partial(first.partial));
    for (int64_t i = 1; i < count; ++i) {
      const AttentionState more = state_at(partial(first.partial + i));
      for (int64_t r = 0; r < gqa_; ++r) add_row(total, more, r);
    }
    write(first, total);
  }

 private:
  int64_t query_offset(const Item& item) const {
    return (item.token * shape_.heads + item.kv_head * gqa_) * dim_;
  }
  float* partial(int64_t i) const { return space_.partial.as<float>() + i * state_floats(); }
  AttentionState state_at(float* place) const { return {place, place + gqa_, place + 2 * gqa_}; }
  AttentionState fresh_state(float* place) const {
    std::fill_n(place, gqa_, -std::numeric_limits<float>::infinity());
    std::fill_n(place + gqa_, gqa_ * (dim_ + 1), 0.0f);
    return state_at(place);
  }

  void add_row(const AttentionState& total, const AttentionState& more, int64_t r) const {
    const float top = std::max(total.max[r], more.max[r]);
    const float a = std::exp(total.max[r] - top), b = std::exp(more.max[r] - top);
    total.max[r] = top;
    total.sum[r] = total.sum[r] * a + more.sum[r] * b;
    float *x = total.acc + r * dim_, *y = more.acc + r * dim_;
    for (int64_t d = 0; d < dim_; ++d) x[d] = x[d] * a + y[d] * b;
  }

  void write(const Item& item, const AttentionState& state) const {
    float* out = item.job->out + query_offset(item);
    for (int64_t r = 0; r < gqa_; ++r) {
      const float inverse = 1.0f / state.sum[r];
      for (int64_t d = 0; d < dim_; ++d) out[r * dim_ + d] = state.acc[r * dim_ + d] * inverse;
    }
  }

  AttentionShape shape_;
  int64_t gqa_, dim_;
  AttentionSpace& space_;
};

}  // namespace

std::vector<AttentionRun> zip_segments(const std::vector<KvSegment>& k,
                                       const std::vector<KvSegment>& v) {
  std::vector<AttentionRun> runs;
  size_t i = 0, j = 0;
  int64_t k_used = 0, v_used = 0;
  while (i < k.size() && j < v.size()) {
    const int64_t count = std::min(k[i].tokens - k_used, v[j].tokens - v_used);
    runs.push_back({part(k[i], k_used, count), part(v[j], v_used, count)});
    if ((k_used += count) == k[i].tokens) ++i, k_used = 0;
    if ((v_used += count) == v[j].tokens) ++j, v_used = 0;
  }
  KVTOLL_CHECK(i == k.size() && j == v.size(), "keys and values of different lengths");
  return runs;
}

void attend_jobs(const AttentionShape& shape, const std::vector<AttentionJob>& jobs,
                 ThreadPool& pool, AttentionSpace& space) {
  const Attender attender(shape, space);
  std::vector<std::vector<Piece>> pieces;
  for (const AttentionJob& job : jobs) pieces.push_back(cut(job));
  std::vector<Item> items;
  int64_t partials = 0;
  for (size_t j = 0; j < jobs.size(); ++j) {
    const size_t count = pieces[j].size();
    const bool split = jobs[j].n == 1 && count > 1;
    for (int64_t t = jobs[j].n - 1; t >= 0; --t)  // the longest first
      for (int h = 0; h < shape.kv_heads; ++h)
        for (size_t p = 0; p < count; p += split ? 1 : count)
          items.push_back(
              {&jobs[j], &pieces[j], t, h, p, split ? p + 1 : count, split ? partials++ : -1});
  }
  space.partial.resize(partials * attender.state_floats() * kFloat);
  space.scratch.resize(pool.size() * attender.scratch_floats() * kFloat);
  const auto work = [&](int thread, int64_t i) {
    attender.run(items[static_cast<size_t>(i)], thread);
  };
  const auto count = static_cast<int64_t>(items.size());
  if (attention_bytes(shape, jobs).value < kParallelBytes) {
    for (int64_t i = 0; i < count; ++i) work(0, i);
  } else {
    pool.for_each(count, work);
  }
  for (const Item& item : items)
    if (item.partial >= 0 && item.first == 0)
      attender.merge(item, static_cast<int64_t>(item.pieces->size()));
}

Bytes attention_bytes(const AttentionShape& shape, const std::vector<AttentionJob>& jobs) {
  const int64_t kv_width = int64_t{shape.kv_heads} * shape.head_dim;
  Bytes sum{};
  for (const AttentionJob& job : jobs) {
    sum += attention_io_bytes(job.n, int64_t{shape.heads} * shape.head_dim);
    for (const AttentionRun& run : job.runs)
      sum += kv_read_bytes(run.k.tokens, kv_width, run.k.dtype) +
             kv_read_bytes(run.v.tokens, kv_width, run.v.dtype);
  }
  return sum;
}

}  // namespace kvtoll::cpu
