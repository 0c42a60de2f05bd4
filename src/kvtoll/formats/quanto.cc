// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/quanto.h"

#include <limits>

#include "kvtoll/core/check.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

struct GroupParameters {
  float scale, shift;
};

// x[0], x[stride], ... n values.
template <class Round>
KVTOLL_INLINE GroupParameters group_parameters(Round fl, const float* x, int64_t stride, int64_t n,
                                               float levels) {
  float low = x[0], high = x[0];
  int nan = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float value = x[i * stride];
    low = value < low ? value : low;
    high = value > high ? value : high;
    nan |= value != value;
  }
  // torch.amin and amax pass NaN on.
  if (nan) low = high = std::numeric_limits<float>::quiet_NaN();
  return {fl(fl(high - low) / levels), -low};
}

template <class Round>
KVTOLL_INLINE uint8_t code_of(Round fl, float x, float scale, float shift, float levels) {
  const float v = fl(fl(x + shift) / scale);
  const float q = rint_small(clamp_levels(v, levels));
  return static_cast<uint8_t>(static_cast<int32_t>(q == q ? q : 0.0f));
}

template <class Round>
KVTOLL_INLINE void row_codes(Round fl, const float* __restrict x, int64_t n, GroupParameters p,
                             float levels, uint8_t* __restrict codes) {
  for (int64_t i = 0; i < n; ++i) codes[i] = code_of(fl, x[i], p.scale, p.shift, levels);
}

template <class Round>
void encode_rows(Round fl, const float* x, int64_t rows, int64_t g, float levels, Quantized& q) {
  run_simd([&]() __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r) {
      const GroupParameters p = group_parameters(fl, x + r * g, 1, g, levels);
      q.scale[r] = p.scale;
      q.offset[r] = p.shift;
      row_codes(fl, x + r * g, g, p, levels, q.codes.data() + r * g);
    }
  });
}

// Column d * A + a: channel d of rows a * g .. a * g + g - 1.
template <class Round>
void encode_channels(Round fl, const float* x, int64_t dim, int64_t g, float levels, Quantized& q) {
  const int64_t blocks = q.cols / dim;
  for (int64_t a = 0; a < blocks; ++a) {
    for (int64_t d = 0; d < dim; ++d) {
      const float* column = x + a * g * dim + d;
      const GroupParameters p = group_parameters(fl, column, dim, g, levels);
      const int64_t c = d * blocks + a;
      q.scale[c] = p.scale;
      q.offset[c] = p.shift;
      for (int64_t j = 0; j < g; ++j)
        q.codes[j * q.cols + c] = code_of(fl, column[j * dim], p.scale, p.shift, levels);
    }
  }
}

// One group in all: the library reduces over an axis of length one, so each element is its own
// minimum and maximum; range 0 (NaN for infinities), code undefined, here 0.
template <class Round>
void encode_single(Round fl, const float* x, float levels, Quantized& q) {
  for (int64_t i = 0; i < q.cols; ++i) {
    const GroupParameters p = group_parameters(fl, x + i, 1, 1, levels);
    q.scale[i] = p.scale;
    q.offset[i] = p.shift;
  }
}

}  // namespace

Result<GroupLayout> quanto_layout(const KvFormat& format, const KvShape& shape) {
  const int64_t g = format.group;
  const int64_t per_axis = format.axis == 0 ? shape.elements() : shape.kv_heads * shape.tokens;
  if (per_axis == 0 || per_axis % g != 0)
    return make_error(ErrorKind::kUnsupported,
                      "{}: quanto needs group={} to divide {} = {} ({} heads, {} tokens, head_dim "
                      "{}); choose another group or axis=0",
                      format.to_string(), g,
                      format.axis == 0 ? "heads x tokens x head_dim" : "heads x tokens", per_axis,
                      shape.kv_heads, shape.tokens, shape.dim);
  if (format.axis == 0) {
    const bool single = shape.elements() == g;
    return GroupLayout{shape.elements() / g, g, single ? GroupLayout::kSingle : GroupLayout::kRow};
  }
  // A single column would drop its axis too, but then amin still reduces over the whole column.
  return GroupLayout{g, shape.elements() / g, GroupLayout::kColumn};
}

Quantized quanto_encode(const KvFormat& format, DType dtype, std::span<const float> x, int64_t dim,
                        const GroupLayout& layout) {
  Quantized q{.rows = layout.rows, .cols = layout.cols};
  q.codes.resize(x.size());
  q.scale.resize(static_cast<size_t>(layout.groups()));
  q.offset.resize(q.scale.size());
  const float levels = static_cast<float>((1 << format.bits) - 1);
  with_rounding(dtype, [&](auto fl) {
    if (layout.kind == GroupLayout::kRow)
      encode_rows(fl, x.data(), layout.rows, layout.cols, levels, q);
    else if (layout.kind == GroupLayout::kColumn)
      encode_channels(fl, x.data(), dim, format.group, levels, q);
    else
      encode_single(fl, x.data(), levels, q);
  });
  return q;
}

void quanto_decode(const KvFormat& format, DType dtype, const Quantized& q, const KvShape& shape,
                   std::span<float> out) {
  const int64_t g = format.group;
  const bool by_row = format.axis == 0 && q.rows > 1;
  with_rounding(dtype, [&](auto fl) {
    for (int64_t r = 0; r < q.rows; ++r) {
      for (int64_t c = 0; c < q.cols; ++c) {
        const int64_t group = by_row ? r : c;
        const float code = static_cast<float>(q.codes[r * q.cols + c]);
        const float value = quanto_value(fl, code, q.scale[group], q.offset[group]);
        if (format.axis == 0) {
          out[r * q.cols + c] = value;
        } else {
          const int64_t blocks = q.cols / shape.dim;
          out[((c % blocks) * g + r) * shape.dim + c / blocks] = value;
        }
      }
    }
  });
}

std::vector<uint8_t> quanto_pack(int bits, const Quantized& q) {
  std::vector<uint8_t> packed(static_cast<size_t>(quanto_packed_bytes(bits, q.rows, q.cols)));
  const int64_t packed_rows = static_cast<int64_t>(packed.size()) / q.cols;
  for (int64_t r = 0; r < q.rows; ++r)
    for (int64_t c = 0; c < q.cols; ++c)
      packed[(r % packed_rows) * q.cols + c] |=
          static_cast<uint8_t>(q.codes[r * q.cols + c] << (bits * (r / packed_rows)));
  return packed;
}

void quanto_unpack_row(int bits, const uint8_t* packed, int64_t rows, int64_t cols, int64_t row,
                       int64_t begin, int64_t end, uint8_t* out) {
  const int64_t packed_rows = quanto_packed_bytes(bits, rows, cols) / cols;
  const uint8_t* from = packed + (row % packed_rows) * cols;
  const int shift = bits * static_cast<int>(row / packed_rows);
  const int mask = (1 << bits) - 1;
  for (int64_t c = begin; c < end; ++c) *out++ = static_cast<uint8_t>((from[c] >> shift) & mask);
}

}  // namespace kvtoll
