// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/hqq_solver.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kvtoll/formats/hqq_shrink.h"
#include "kvtoll/formats/rounding.h"
#include "kvtoll/formats/torch_sum.h"

namespace kvtoll {
namespace {

constexpr int kChunk = 256;  // elements whose intermediate values stay in L1

// We of the fp16 form over the bits of |e|: 0x0000 (0) ... 0x7c00 (infinity).
const std::vector<float>& shrink_table() {
  static const std::vector<float> table = [] {
    std::vector<float> values(0x7c01);
    for (size_t bits = 0; bits < values.size(); ++bits)
      values[bits] = hqq_shrink(RoundF16{}, half_bits_to_float(static_cast<uint16_t>(bits)));
    return values;
  }();
  return table;
}

// We where |e| >= kHqqShrinkFrom: a normal fp16 number, whose bits are 13 below the float's.
float large_shrunk(RoundF16, float e) {
  const uint32_t bits = std::bit_cast<uint32_t>(e) & 0x7fffffffu;
  if (bits > 0x7f800000u) return e;  // NaN
  const uint32_t half = std::min((bits >> 13) - (112u << 10), 0x7c00u);
  return std::copysign(shrink_table()[half], e);
}
float large_shrunk(RoundF32 fl, float e) { return hqq_shrink(fl, e); }

// Intermediate values of a stretch of at most kChunk elements.
struct Chunk {
  float x[kChunk], q[kChunk], e[kChunk], shrunk[kChunk];
};

// kEach: every element has its own s and z (a row of columns); otherwise all share the first.
template <bool kEach, class Round>
KVTOLL_INLINE bool chunk_errors(Round fl, const float* __restrict w, const float* __restrict s,
                                const float* __restrict z, int n, float levels,
                                Chunk* __restrict chunk, float* __restrict abs_e) {
  const float s0 = s[0], z0 = z[0];
  for (int i = 0; i < n; ++i) {
    const float scale = kEach ? s[i] : s0, zero = kEach ? z[i] : z0, x = fl(w[i]);
    const float q = rint_small(clamp_levels(fl(fl(x * scale) + zero), levels));
    const float e = fl(x - fl(fl(q - zero) / scale));
    chunk->x[i] = x, chunk->q[i] = q, chunk->e[i] = e;
    abs_e[i] = std::fabs(e);
  }
  int large = 0;  // NaN counts as large
  for (int i = 0; i < n; ++i) large |= abs_e[i] < kHqqShrinkFrom ? 0 : 1;
  return large != 0;
}

template <bool kEach, class Round>
KVTOLL_INLINE void chunk_terms(Round fl, const float* __restrict s, int n,
                               const Chunk* __restrict chunk, float* __restrict term) {
  const float s0 = s[0];
  for (int i = 0; i < n; ++i) {
    const float rest = fl(chunk->x[i] - chunk->shrunk[i]);
    term[i] = fl(chunk->q[i] - fl(rest * (kEach ? s[i] : s0)));
  }
}

// Writes |e| and the terms whose mean is the new z.
template <bool kEach, class Round>
void solve_chunk(Round fl, const float* w, const float* s, const float* z, int n, float levels,
                 float* abs_e, float* term) {
  Chunk chunk;
  bool large = false;
  run_simd([&]() __attribute__((always_inline)) {
    large = chunk_errors<kEach>(fl, w, s, z, n, levels, &chunk, abs_e);
  });
  if (!large) {
    std::fill_n(chunk.shrunk, n, 0.0f);
  } else {
    for (int i = 0; i < n; ++i)
      chunk.shrunk[i] = abs_e[i] < kHqqShrinkFrom ? 0.0f : large_shrunk(fl, chunk.e[i]);
  }
  run_simd([&]() __attribute__((always_inline)) { chunk_terms<kEach>(fl, s, n, &chunk, term); });
}

// The fp16 form: every term is a multiple of 2^-24 below 2^17, so double sums are exact in any
// order.
float mean_of(double sum, int64_t n) {
  return RoundF16{}(static_cast<float>(sum) / static_cast<float>(n));
}

double lane_sum(const double* x, int n) {
  std::array<double, 4> sums{};
  for (int i = 0; i < n; ++i) sums[i % 4] += x[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

float iterate_fp16(const float* w, const GroupLayout& layout, float levels,
                   const std::vector<float>& s, std::vector<float>& z) {
  const bool by_row = layout.kind == GroupLayout::kRow;
  std::array<double, kChunk> error{};
  std::vector<double> sums(by_row ? 0 : z.size(), 0.0);
  std::array<float, kChunk> abs_e, term;
  std::array<double, kChunk> row_sums;
  const int lanes = static_cast<int>(std::min<int64_t>(kChunk, layout.cols));
  for (int64_t r = 0; r < layout.rows; ++r) {
    std::fill_n(row_sums.begin(), lanes, 0.0);
    for (int64_t c = 0; c < layout.cols; c += kChunk) {
      const int n = static_cast<int>(std::min<int64_t>(kChunk, layout.cols - c));
      const int64_t group = by_row ? r : c;
      const auto solve = by_row ? solve_chunk<false, RoundF16> : solve_chunk<true, RoundF16>;
      solve(RoundF16{}, w + r * layout.cols + c, &s[group], &z[group], n, levels, abs_e.data(),
            term.data());
      double* into = by_row ? row_sums.data() : &sums[c];
      for (int i = 0; i < n; ++i) error[i] += static_cast<double>(abs_e[i]);
      for (int i = 0; i < n; ++i) into[i] += static_cast<double>(term[i]);
    }
    if (by_row) z[r] = mean_of(lane_sum(row_sums.data(), lanes), layout.cols);
  }
  for (size_t c = 0; c < sums.size(); ++c) z[c] = mean_of(sums[c], layout.rows);
  return mean_of(lane_sum(error.data(), kChunk), layout.rows * layout.cols);
}

float iterate_fp32(const float* w, const GroupLayout& layout, float levels,
                   const std::vector<float>& s, std::vector<float>& z) {
  const bool by_row = layout.kind == GroupLayout::kRow;
  const int64_t n_all = layout.rows * layout.cols;
  std::vector<float> abs_e(static_cast<size_t>(n_all)), term(static_cast<size_t>(n_all));
  for (int64_t r = 0; r < layout.rows; ++r) {
    for (int64_t c = 0; c < layout.cols; c += kChunk) {
      const int n = static_cast<int>(std::min<int64_t>(kChunk, layout.cols - c));
      const int64_t i = r * layout.cols + c, group = by_row ? r : c;
      const auto solve = by_row ? solve_chunk<false, RoundF32> : solve_chunk<true, RoundF32>;
      solve(RoundF32{}, w + i, &s[group], &z[group], n, levels, &abs_e[i], &term[i]);
    }
  }
  if (by_row) {
    for (int64_t r = 0; r < layout.rows; ++r)
      z[r] = torch_sum_contiguous(&term[r * layout.cols], layout.cols);
  } else {
    torch_sum_rows(term.data(), layout.rows, layout.cols, z.data());
  }
  for (float& zero : z) zero /= static_cast<float>(by_row ? layout.cols : layout.rows);
  return torch_sum_contiguous(abs_e.data(), n_all) / static_cast<float>(n_all);
}

}  // namespace

float hqq_shrunk(HqqSolver solver, float e) {
  return solver == HqqSolver::kFp16 ? hqq_shrink(RoundF16{}, e) : hqq_shrink(RoundF32{}, e);
}

int hqq_solve(HqqSolver solver, const float* w, const GroupLayout& layout, float levels,
              std::vector<float>& s, std::vector<float>& z) {
  const bool half = solver == HqqSolver::kFp16;
  if (half) {
    for (float& value : s) value = RoundF16{}(value);
    for (float& value : z) value = RoundF16{}(value);
  }
  float best = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kHqqIterations; ++i) {
    const float error =
        half ? iterate_fp16(w, layout, levels, s, z) : iterate_fp32(w, layout, levels, s, z);
    if (!(error < best)) return i + 1;
    best = error;
  }
  return kHqqIterations;
}

}  // namespace kvtoll
