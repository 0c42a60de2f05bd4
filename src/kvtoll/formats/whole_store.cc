// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/whole_store.h"

#include <algorithm>

#include "kvtoll/core/check.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/quanto.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

constexpr int64_t kChunk = 512;  // codes unpacked at a time

KVTOLL_INLINE void widen(const uint8_t* __restrict codes, int64_t n, float* __restrict y) {
  for (int64_t k = 0; k < n; ++k) y[k] = static_cast<float>(codes[k]);
}
KVTOLL_INLINE void multiply(float* __restrict y, int64_t n, const float* __restrict by) {
  for (int64_t k = 0; k < n; ++k) y[k] *= by[k];
}
KVTOLL_INLINE void subtract(float* __restrict y, int64_t n, const float* __restrict what) {
  for (int64_t k = 0; k < n; ++k) y[k] -= what[k];
}

class WholeStore : public KvStore {
 public:
  WholeStore(const KvFormat& format, DType dtype, int kv_heads, int head_dim)
      : format_(format),
        dtype_(dtype),
        heads_(kv_heads),
        dim_(head_dim),
        scale_(dtype),
        offset_(dtype) {}

  int tokens() const override { return static_cast<int>(tokens_); }
  bool append_only() const override { return false; }

  Result<void> append(std::span<const float> x, int n) override {
    if (tokens_ == 0) return replace(x, n);
    const int64_t total = tokens_ + n;
    std::vector<float> all(static_cast<size_t>(total * heads_ * dim_));
    for (int64_t h = 0; h < heads_; ++h) {
      float* head = all.data() + h * total * dim_;
      decode_head(static_cast<int>(h), {head, static_cast<size_t>(tokens_ * dim_)});
      std::copy_n(x.data() + h * n * dim_, n * dim_, head + tokens_ * dim_);
    }
    return replace(all, static_cast<int>(total));
  }

  Result<void> replace(std::span<const float> x, int n) override {
    if (n == 0) return clear(), Result<void>();
    KVTOLL_TRY(layout_, kv_group_layout(format_, {heads_, n, dim_}));
    KVTOLL_CHECK(static_cast<int64_t>(x.size()) == n * heads_ * dim_, "{} values", x.size());
    const Quantized q = kv_encode(format_, dtype_, x, dim_, layout_);
    tokens_ = n;
    packed_ = kv_pack(format_, q);
    packed_.shrink_to_fit();
    scale_.resize(layout_.groups());
    offset_.resize(layout_.groups());
    scale_.set(0, q.scale.data(), layout_.groups());
    offset_.set(0, q.offset.data(), layout_.groups());
    return {};
  }

  void decode_head(int kv_head, std::span<float> out) const override {
    KVTOLL_CHECK(static_cast<int64_t>(out.size()) == tokens_ * dim_, "{}", out.size());
    if (format_.scheme == KvScheme::kQuanto && format_.axis != 0)
      decode_channels(kv_head, out);
    else
      decode_linear(kv_head * tokens_ * dim_, out);
  }

  void clear() override {
    tokens_ = 0;
    resize_exact(packed_, 0);
    scale_.resize(0);
    offset_.resize(0);
  }
  Bytes payload_bytes() const override { return Bytes(static_cast<int64_t>(packed_.capacity())); }
  Bytes scale_bytes() const override { return Bytes(scale_.bytes() + offset_.bytes()); }

 private:
  // The matrix in row-major order is the tensor in linear order: walk its rows in stretches.
  void decode_linear(int64_t begin, std::span<float> out) const {
    uint8_t codes[kChunk];
    float scale[kChunk], offset[kChunk];
    const bool quanto = format_.scheme == KvScheme::kQuanto;
    const int64_t end = begin + static_cast<int64_t>(out.size());
    float* y = out.data();
    for (int64_t i = begin, n = 0; i < end; i += n, y += n) {
      const int64_t row = i / layout_.cols, c = i % layout_.cols;
      n = std::min({kChunk, end - i, layout_.cols - c});
      kv_unpack_row(format_, packed_.data(), layout_.rows, layout_.cols, row, c, c + n, codes);
      if (layout_.kind == GroupLayout::kRow) {
        std::fill_n(scale, n, scale_.get(row));
        std::fill_n(offset, n, offset_.get(row));
      } else {
        scale_.get(c, n, scale);
        offset_.get(c, n, offset);
      }
      run_simd([&]() __attribute__((always_inline)) {
        widen(codes, n, y);
        quanto ? multiply(y, n, scale) : subtract(y, n, offset);
      });
      round_block(dtype_, y, n);
      run_simd([&]() __attribute__((always_inline)) {
        quanto ? subtract(y, n, offset) : multiply(y, n, scale);
      });
      round_block(dtype_, y, n);
    }
  }

  // quanto axis -1: row r of the flattened [kv_head * pos, dim] is row r % g of the matrix, its
  // channel d in column d * blocks + r / g.
  void decode_channels(int64_t head, std::span<float> out) const {
    const int64_t blocks = layout_.cols / dim_;
    std::vector<float> scale(static_cast<size_t>(layout_.cols)), offset(scale.size());
    std::vector<uint8_t> codes(scale.size());
    scale_.get(0, layout_.cols, scale.data());
    offset_.get(0, layout_.cols, offset.data());
    with_rounding(dtype_, [&](auto fl) {
      // Matrix row by matrix row: the tokens of this head that stand in row j.
      for (int64_t j = 0; j < layout_.rows; ++j) {
        kv_unpack_row(format_, packed_.data(), layout_.rows, layout_.cols, j, 0, layout_.cols,
                      codes.data());
        for (int64_t a = 0; a < blocks; ++a) {
          const int64_t t = a * layout_.rows + j - head * tokens_;
          if (t < 0 || t >= tokens_) continue;
          for (int64_t d = 0; d < dim_; ++d) {
            const int64_t c = d * blocks + a;
            out[t * dim_ + d] = quanto_value(fl, static_cast<float>(codes[c]), scale[c], offset[c]);
          }
        }
      }
    });
  }

  KvFormat format_;
  DType dtype_;
  int64_t heads_, dim_;
  int64_t tokens_ = 0;
  GroupLayout layout_;
  std::vector<uint8_t> packed_;  // the library's payload
  FloatArray scale_, offset_;    // [groups]
};

}  // namespace

std::unique_ptr<KvStore> make_whole_store(const KvFormat& format, DType dtype, int kv_heads,
                                          int head_dim) {
  return std::make_unique<WholeStore>(format, dtype, kv_heads, head_dim);
}

}  // namespace kvtoll
