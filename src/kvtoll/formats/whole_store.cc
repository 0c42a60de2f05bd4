// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/whole_store.h"

#include <algorithm>

#include "kvtoll/core/check.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/hqq.h"
#include "kvtoll/formats/quanto.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

constexpr int64_t kChunk = 512;  // codes unpacked at a time

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
    with_rounding(dtype_, [&](auto fl) {
      if (format_.scheme == KvScheme::kQuanto && format_.axis != 0)
        decode_channels(fl, kv_head, out.data());
      else
        decode_linear(fl, kv_head * tokens_ * dim_, out);
    });
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
  template <class Round>
  void decode_linear(Round fl, int64_t begin, std::span<float> out) const {
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
        if (quanto) {
          for (int64_t k = 0; k < n; ++k)
            y[k] = quanto_value(fl, static_cast<float>(codes[k]), scale[k], offset[k]);
        } else {
          for (int64_t k = 0; k < n; ++k)
            y[k] = hqq_value(fl, static_cast<float>(codes[k]), scale[k], offset[k]);
        }
      });
    }
  }

  // quanto axis -1: row r of the flattened [kv_head * pos, dim] is row r % g of the matrix, its
  // channel d in column d * blocks + r / g.
  template <class Round>
  void decode_channels(Round fl, int64_t head, float* out) const {
    const int64_t blocks = layout_.cols / dim_;
    for (int64_t t = 0; t < tokens_; ++t) {
      const int64_t r = head * tokens_ + t;
      for (int64_t d = 0; d < dim_; ++d) {
        const int64_t c = d * blocks + r / format_.group;
        uint8_t code;
        kv_unpack_row(format_, packed_.data(), layout_.rows, layout_.cols, r % format_.group, c,
                      c + 1, &code);
        out[t * dim_ + d] =
            quanto_value(fl, static_cast<float>(code), scale_.get(c), offset_.get(c));
      }
    }
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
