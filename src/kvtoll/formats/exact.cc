// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/exact.h"

#include "kvtoll/core/check.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

class ExactStore : public KvStore {
 public:
  ExactStore(DType dtype, int kv_heads, int head_dim)
      : heads_(kv_heads), dim_(head_dim), values_(dtype) {}

  int tokens() const override { return tokens_; }
  bool append_only() const override { return true; }

  Result<void> append(std::span<const float> x, int n) override {
    KVTOLL_CHECK(static_cast<int64_t>(x.size()) == int64_t{n} * heads_ * dim_, "{} values",
                 x.size());
    const int64_t old = tokens_;
    tokens_ += n;
    values_.resize(int64_t{tokens_} * heads_ * dim_);
    for (int64_t h = 0; h < heads_; ++h)
      for (int64_t t = 0; t < n; ++t)
        values_.set(((old + t) * heads_ + h) * dim_, x.data() + (h * n + t) * dim_, dim_);
    return {};
  }

  Result<void> replace(std::span<const float> x, int n) override {
    clear();
    return append(x, n);
  }

  void decode_head(int kv_head, std::span<float> out) const override {
    KVTOLL_CHECK(static_cast<int64_t>(out.size()) == int64_t{tokens_} * dim_, "{}", out.size());
    for (int64_t t = 0; t < tokens_; ++t)
      values_.get((t * heads_ + kv_head) * dim_, dim_, out.data() + t * dim_);
  }

  void clear() override {
    tokens_ = 0;
    values_.resize(0);
  }
  Bytes payload_bytes() const override { return Bytes(values_.bytes()); }
  Bytes scale_bytes() const override { return Bytes(0); }

 private:
  int64_t heads_, dim_;
  int tokens_ = 0;
  FloatArray values_;  // [pos, kv_head, dim]
};

}  // namespace

std::unique_ptr<KvStore> make_exact_store(const KvFormat& format, int kv_heads, int head_dim) {
  return std::make_unique<ExactStore>(format.dtype, kv_heads, head_dim);
}

}  // namespace kvtoll
