// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/token_store.h"

#include <algorithm>

#include "kvtoll/core/check.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

template <int kBits>
KVTOLL_INLINE void unpack_vector(const uint8_t* __restrict packed, int64_t dim,
                                 float* __restrict out) {
  const int64_t bytes = token_store_vector_bytes(kBits, dim);
  for (int part = 0; part < 8 / kBits; ++part) {
    const int64_t first = part * bytes, n = std::min(bytes, dim - first);
    float* __restrict y = out + first;
    for (int64_t b = 0; b < n; ++b)
      y[b] = static_cast<float>((packed[b] >> (part * kBits)) & ((1 << kBits) - 1));
  }
}

// y: codes in, values out; one group, its scale and offset.
KVTOLL_INLINE void scale_codes(float* __restrict y, int64_t n, float scale) {
  for (int64_t i = 0; i < n; ++i) y[i] *= scale;
}
KVTOLL_INLINE void subtract(float* __restrict y, int64_t n, float offset) {
  for (int64_t i = 0; i < n; ++i) y[i] -= offset;
}

class TokenStore : public KvStore {
 public:
  TokenStore(const KvFormat& format, DType dtype, int kv_heads, int head_dim)
      : format_(format),
        dtype_(dtype),
        heads_(kv_heads),
        dim_(head_dim),
        groups_(head_dim / format.group),
        vector_bytes_(token_store_vector_bytes(format.bits, head_dim)),
        scale_(dtype),
        offset_(dtype) {}

  int tokens() const override { return static_cast<int>(tokens_); }
  bool append_only() const override { return true; }

  Result<void> append(std::span<const float> x, int n) override {
    const KvShape all{heads_, tokens_ + int64_t{n}, dim_};
    // The library packs the whole store, so its packing rules hold for all tokens; a chunk alone
    // may break them without harm here.
    if (n == 0) return {};
    if (auto layout = kv_group_layout(format_, all); !layout)
      return tl::unexpected<Error>(std::move(layout).error());
    add(x, n);
    return {};
  }

  Result<void> replace(std::span<const float> x, int n) override {
    clear();
    return append(x, n);
  }

  void decode_head(int kv_head, std::span<float> out) const override {
    KVTOLL_CHECK(static_cast<int64_t>(out.size()) == tokens_ * dim_, "{}", out.size());
    switch (format_.bits) {
      case 8:
        return decode<8>(kv_head, out.data());
      case 4:
        return decode<4>(kv_head, out.data());
      case 2:
        return decode<2>(kv_head, out.data());
      default:
        return decode<1>(kv_head, out.data());
    }
  }

  void clear() override {
    tokens_ = 0;
    resize_exact(codes_, 0);
    scale_.resize(0);
    offset_.resize(0);
  }
  Bytes payload_bytes() const override { return Bytes(static_cast<int64_t>(codes_.capacity())); }
  Bytes scale_bytes() const override { return Bytes(scale_.bytes() + offset_.bytes()); }

 private:
  void add(std::span<const float> x, int64_t n) {
    KVTOLL_CHECK(static_cast<int64_t>(x.size()) == n * heads_ * dim_, "{} values", x.size());
    const GroupLayout rows{n * heads_ * groups_, format_.group, GroupLayout::kRow};
    const Quantized q = kv_encode(format_, dtype_, x, dim_, rows);
    const int64_t old = tokens_;
    tokens_ += n;
    resize_exact(codes_, static_cast<size_t>(tokens_ * heads_ * vector_bytes_));
    scale_.resize(tokens_ * heads_ * groups_);
    offset_.resize(tokens_ * heads_ * groups_);
    for (int64_t h = 0; h < heads_; ++h) {
      for (int64_t t = 0; t < n; ++t) {
        const int64_t from = h * n + t, to = (old + t) * heads_ + h;
        pack_vector(format_.bits, &q.codes[from * dim_], dim_, &codes_[to * vector_bytes_]);
        scale_.set(to * groups_, &q.scale[from * groups_], groups_);
        offset_.set(to * groups_, &q.offset[from * groups_], groups_);
      }
    }
  }

  // quanto: fl(fl(scale * code) - shift); HQQ: fl(fl(code - zero) * step). The same steps over a
  // head's vector at a time.
  template <int kBits>
  void decode(int64_t head, float* out) const {
    const bool quanto = format_.scheme == KvScheme::kQuanto;
    const int64_t g = format_.group;
    std::vector<float> scales(static_cast<size_t>(groups_)), offsets(scales.size());
    for (int64_t t = 0; t < tokens_; ++t, out += dim_) {
      const int64_t at = t * heads_ + head;
      scale_.get(at * groups_, groups_, scales.data());
      offset_.get(at * groups_, groups_, offsets.data());
      run_simd([&]() __attribute__((always_inline)) {
        unpack_vector<kBits>(codes_.data() + at * vector_bytes_, dim_, out);
        for (int64_t k = 0; k < groups_; ++k)
          quanto ? scale_codes(out + k * g, g, scales[k]) : subtract(out + k * g, g, offsets[k]);
      });
      round_block(dtype_, out, dim_);
      run_simd([&]() __attribute__((always_inline)) {
        for (int64_t k = 0; k < groups_; ++k)
          quanto ? subtract(out + k * g, g, offsets[k]) : scale_codes(out + k * g, g, scales[k]);
      });
      round_block(dtype_, out, dim_);
    }
  }

  KvFormat format_;
  DType dtype_;
  int64_t heads_, dim_, groups_, vector_bytes_;
  int64_t tokens_ = 0;
  std::vector<uint8_t> codes_;  // [pos, kv_head, vector_bytes_]
  FloatArray scale_, offset_;   // [pos, kv_head, groups_]
};

}  // namespace

void pack_vector(int bits, const uint8_t* codes, int64_t dim, uint8_t* out) {
  const int64_t bytes = token_store_vector_bytes(bits, dim);
  std::fill_n(out, bytes, uint8_t{0});
  for (int64_t d = 0; d < dim; ++d)
    out[d % bytes] |= static_cast<uint8_t>(codes[d] << (bits * (d / bytes)));
}

bool groups_inside_vector(const KvFormat& format, int kv_heads, int head_dim) {
  const bool rows = (format.scheme == KvScheme::kQuanto && format.axis == 0) ||
                    (format.scheme == KvScheme::kHqq && format.axis == 1 && format.bits != 3);
  // One head with one group: a lone token is quanto's single group, which is kept exactly.
  const bool may_be_single =
      format.scheme == KvScheme::kQuanto && kv_heads == 1 && format.group == head_dim;
  return rows && head_dim % format.group == 0 && !may_be_single;
}

std::unique_ptr<KvStore> make_token_store(const KvFormat& format, DType dtype, int kv_heads,
                                          int head_dim) {
  return std::make_unique<TokenStore>(format, dtype, kv_heads, head_dim);
}

}  // namespace kvtoll
