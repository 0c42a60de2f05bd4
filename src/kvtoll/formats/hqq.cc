// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/hqq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kvtoll/formats/hqq_solver.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

// Smallest and largest of each group; a NaN makes both NaN, as torch.min and max do.
KVTOLL_INLINE void row_range(const float* __restrict w, int64_t n, float* low, float* high) {
  float smallest = w[0], largest = w[0];
  int nan = 0;
  for (int64_t i = 0; i < n; ++i) {
    smallest = w[i] < smallest ? w[i] : smallest;
    largest = w[i] > largest ? w[i] : largest;
    nan |= w[i] != w[i];
  }
  const float bad = std::numeric_limits<float>::quiet_NaN();
  *low = nan ? bad : smallest;
  *high = nan ? bad : largest;
}

KVTOLL_INLINE void column_range(const float* __restrict w, int64_t n, float* __restrict low,
                                float* __restrict high) {
  for (int64_t i = 0; i < n; ++i) {
    // A NaN that has come in stays: it compares false with everything.
    low[i] = w[i] < low[i] || w[i] != w[i] ? w[i] : low[i];
    high[i] = w[i] > high[i] || w[i] != w[i] ? w[i] : high[i];
  }
}

void group_range(const float* w, const GroupLayout& layout, std::vector<float>& low,
                 std::vector<float>& high) {
  const int64_t cols = layout.cols;
  if (layout.kind == GroupLayout::kRow) {
    for (int64_t r = 0; r < layout.rows; ++r) row_range(w + r * cols, cols, &low[r], &high[r]);
    return;
  }
  std::copy_n(w, cols, low.begin());
  std::copy_n(w, cols, high.begin());
  for (int64_t r = 1; r < layout.rows; ++r)
    column_range(w + r * cols, cols, low.data(), high.data());
}

// s and z before the solver.
void initial_parameters(const float* w, const GroupLayout& layout, float levels,
                        std::vector<float>& s, std::vector<float>& z) {
  std::vector<float> low(s.size()), high(s.size());
  group_range(w, layout, low, high);
  for (size_t i = 0; i < s.size(); ++i) {
    const float range = high[i] - low[i];
    s[i] = (1.0f / range) * levels;
    if (std::fabs(range) <= 1e-4f) s[i] = 1.0f;
    if (s[i] > 2e4f) s[i] = 2e4f;
    z[i] = -low[i] * s[i];
  }
}

template <bool kEach>
KVTOLL_INLINE void row_codes(const float* __restrict x, const float* __restrict s,
                             const float* __restrict z, int64_t n, float levels,
                             uint8_t* __restrict out) {
  const float s0 = s[0], z0 = z[0];
  for (int64_t i = 0; i < n; ++i) {
    const float v = x[i] * (kEach ? s[i] : s0) + (kEach ? z[i] : z0);
    const float q = rint_small(clamp_levels(v, levels));
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(q == q ? q : 0.0f));
  }
}

void final_codes(const float* w, const GroupLayout& layout, float levels,
                 const std::vector<float>& s, const std::vector<float>& z, uint8_t* codes) {
  run_simd([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < layout.rows; ++r) {
      const int64_t at = r * layout.cols;
      if (layout.kind == GroupLayout::kRow)
        row_codes<false>(w + at, &s[r], &z[r], layout.cols, levels, codes + at);
      else
        row_codes<true>(w + at, s.data(), z.data(), layout.cols, levels, codes + at);
    }
  });
}

}  // namespace

Result<GroupLayout> hqq_layout(const KvFormat& format, const KvShape& shape) {
  const int64_t n = shape.elements(), g = format.group;
  if (n == 0 || n % g != 0)
    return make_error(ErrorKind::kUnsupported,
                      "{}: HQQ needs group={} to divide heads x tokens x head_dim = {} ({} heads, "
                      "{} tokens, head_dim {}); choose another group",
                      format.to_string(), g, n, shape.kv_heads, shape.tokens, shape.dim);
  if (format.bits == 3 && format.axis == 1)
    return make_error(ErrorKind::kUnsupported,
                      "{}: HQQ cannot read 3-bit codes back along axis 1 (it raises at the first "
                      "decode step); use axis=0",
                      format.to_string());
  const int64_t rows = format.axis == 0 ? g : n / g;
  if (format.bits != 3 && rows % (8 / format.bits) != 0)
    return make_error(ErrorKind::kUnsupported,
                      "{}: HQQ packs {} codes into a byte along the rows, so {} = {} must be a "
                      "multiple of {} ({} heads, {} tokens, head_dim {})",
                      format.to_string(), 8 / format.bits,
                      format.axis == 0 ? "group" : "heads x tokens x head_dim / group", rows,
                      8 / format.bits, shape.kv_heads, shape.tokens, shape.dim);
  return GroupLayout{rows, n / rows, format.axis == 0 ? GroupLayout::kColumn : GroupLayout::kRow};
}

Quantized hqq_encode(const KvFormat& format, DType dtype, std::span<const float> x,
                     const GroupLayout& layout) {
  Quantized q{.rows = layout.rows, .cols = layout.cols};
  q.codes.resize(x.size());
  q.scale.resize(static_cast<size_t>(layout.groups()));
  q.offset.resize(q.scale.size());
  const float levels = static_cast<float>((1 << format.bits) - 1);
  initial_parameters(x.data(), layout, levels, q.scale, q.offset);
  q.iterations = hqq_solve(format.solver, x.data(), layout, levels, q.scale, q.offset);
  final_codes(x.data(), layout, levels, q.scale, q.offset, q.codes.data());
  with_rounding(dtype, [&](auto fl) {
    for (size_t i = 0; i < q.scale.size(); ++i) {
      const float step = 1.0f / q.scale[i];
      q.scale[i] = fl(format.solver == HqqSolver::kFp16 ? RoundF16{}(step) : step);
      q.offset[i] = fl(q.offset[i]);
    }
  });
  return q;
}

void hqq_decode(const KvFormat& format, DType dtype, const Quantized& q, std::span<float> out) {
  with_rounding(dtype, [&](auto fl) {
    for (int64_t r = 0; r < q.rows; ++r) {
      for (int64_t c = 0; c < q.cols; ++c) {
        const int64_t group = format.axis == 1 ? r : c;
        const float code = static_cast<float>(q.codes[r * q.cols + c]);
        out[r * q.cols + c] = hqq_value(fl, code, q.scale[group], q.offset[group]);
      }
    }
  });
}

std::vector<uint8_t> hqq_pack(int bits, const Quantized& q) {
  std::vector<uint8_t> packed(static_cast<size_t>(hqq_packed_bytes(bits, q.rows, q.cols)));
  if (bits == 3) {
    const int64_t packed_rows = (q.rows + 9) / 10;
    for (int64_t i = 0; i < packed_rows * q.cols; ++i) {
      uint32_t word = 0;
      for (int64_t k = 0; k < 10; ++k) {
        const int64_t r = i / q.cols + k * packed_rows;
        if (r < q.rows)
          word |= static_cast<uint32_t>(q.codes[r * q.cols + i % q.cols]) << (27 - 3 * k);
      }
      std::memcpy(packed.data() + 4 * i, &word, 4);
    }
    return packed;
  }
  const int64_t packed_rows = q.rows * bits / 8;
  for (int64_t r = 0; r < q.rows; ++r)
    for (int64_t c = 0; c < q.cols; ++c)
      packed[(r % packed_rows) * q.cols + c] |=
          static_cast<uint8_t>(q.codes[r * q.cols + c] << (8 - bits * (r / packed_rows + 1)));
  return packed;
}

void hqq_unpack_row(int bits, const uint8_t* packed, int64_t rows, int64_t cols, int64_t row,
                    int64_t begin, int64_t end, uint8_t* out) {
  if (bits == 3) {
    const int64_t packed_rows = (rows + 9) / 10;
    const int shift = 27 - 3 * static_cast<int>(row / packed_rows);
    const uint8_t* from = packed + (row % packed_rows) * cols * 4;
    for (int64_t c = begin; c < end; ++c) {
      uint32_t word;
      std::memcpy(&word, from + 4 * c, 4);
      *out++ = static_cast<uint8_t>((word >> shift) & 7u);
    }
    return;
  }
  const int64_t packed_rows = rows * bits / 8;
  const uint8_t* from = packed + (row % packed_rows) * cols;
  const int shift = 8 - bits * (static_cast<int>(row / packed_rows) + 1);
  const int mask = (1 << bits) - 1;
  for (int64_t c = begin; c < end; ++c) *out++ = static_cast<uint8_t>((from[c] >> shift) & mask);
}

}  // namespace kvtoll
