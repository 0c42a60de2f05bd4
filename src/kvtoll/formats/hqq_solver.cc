// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/hqq_solver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kvtoll/formats/rounding.h"
#include "kvtoll/formats/torch_sum.h"

namespace kvtoll {
namespace {

constexpr int kChunk = 256;  // elements whose intermediate values stay in L1
// Below this |e| the shrinking operator gives 0: 0.1 * 0.16^-0.3 = 0.173 > 0.16.
constexpr float kShrinkFrom = 0.16f;
constexpr double kPower = 0.7 - 1.0;

// sign(e) * max(|e| - 0.1 |e|^p, 0), each step rounded; NaN stays NaN.
template <class Round>
float shrink(Round fl, float e) {
  const float a = std::fabs(e);
  const double exponent = fl(static_cast<float>(kPower));
  const float power = fl(static_cast<float>(std::pow(static_cast<double>(a), exponent)));
  const float shrunk = fl(a - fl(0.1f * power));
  const float positive = shrunk < 0.0f ? 0.0f : shrunk;
  return e < 0.0f ? -positive : positive;
}

float shrunk_error(RoundF16, float e) {
  const uint16_t bits = float_to_half_bits(std::fabs(e));
  if (bits > 0x7c00) return e;  // NaN
  const float magnitude = hqq_shrink_table()[bits];
  return e < 0.0f ? -magnitude : magnitude;
}
float shrunk_error(RoundF32 fl, float e) { return shrink(fl, e); }

// One stretch of elements with their s and z (stride 0: one group, 1: a group each). Writes |e| and
// the terms whose mean is the new z.
template <class Round>
KVTOLL_INLINE void solve_chunk(Round fl, const float* w, const float* s, const float* z,
                               int64_t stride, int n, float levels, float* abs_e, float* term) {
  std::array<float, kChunk> e, q;
  float largest = 0.0f;
  bool nan = false;
  run_simd([&]() __attribute__((always_inline)) {
    for (int i = 0; i < n; ++i) {
      const float scale = s[i * stride], zero = z[i * stride], x = fl(w[i]);
      q[i] = rint_small(clamp_levels(fl(fl(x * scale) + zero), levels));
      e[i] = fl(x - fl(fl(q[i] - zero) / scale));
      abs_e[i] = std::fabs(e[i]);
      term[i] = fl(q[i] - fl(x * scale));
    }
    for (int i = 0; i < n; ++i) {
      largest = abs_e[i] > largest ? abs_e[i] : largest;
      nan |= abs_e[i] != abs_e[i];
    }
  });
  if (!nan && largest < kShrinkFrom) return;
  for (int i = 0; i < n; ++i) {
    if (abs_e[i] < kShrinkFrom) continue;
    const float rest = fl(fl(w[i]) - shrunk_error(fl, e[i]));
    term[i] = fl(q[i] - fl(rest * s[i * stride]));
  }
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
      solve_chunk(RoundF16{}, w + r * layout.cols + c, &s[group], &z[group], by_row ? 0 : 1, n,
                  levels, abs_e.data(), term.data());
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
      solve_chunk(RoundF32{}, w + i, &s[group], &z[group], by_row ? 0 : 1, n, levels, &abs_e[i],
                  &term[i]);
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

const std::vector<float>& hqq_shrink_table() {
  static const std::vector<float> table = [] {
    std::vector<float> values(0x7c01);
    for (size_t bits = 0; bits < values.size(); ++bits)
      values[bits] = shrink(RoundF16{}, half_bits_to_float(static_cast<uint16_t>(bits)));
    return values;
  }();
  return table;
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
