// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/distortion.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/core/check.h"
#include "kvtoll/formats/kv_store.h"

namespace kvtoll {
namespace {

struct Sums {
  double error2 = 0, x = 0, x2 = 0;
  int64_t n = 0;
};

ChannelError channel_error(const Sums& s) {
  if (s.n == 0) return {};
  const double n = static_cast<double>(s.n), mean = s.x / n;
  return {std::sqrt(s.error2 / n), std::sqrt(std::max(0.0, s.x2 / n - mean * mean))};
}

}  // namespace

double Distortion::relative_to_deviation() const {
  double error2 = 0, deviation2 = 0;
  for (const ChannelError& channel : channels) {
    error2 += channel.rmse * channel.rmse;
    deviation2 += channel.deviation * channel.deviation;
  }
  return deviation2 > 0 ? std::sqrt(error2 / deviation2) : 0;
}

Distortion distortion(std::span<const float> x, std::span<const float> read_back,
                      const KvShape& shape) {
  KVTOLL_CHECK(static_cast<int64_t>(x.size()) == shape.elements() && x.size() == read_back.size(),
               "{} and {} values", x.size(), read_back.size());
  Distortion d;
  Sums all;
  std::vector<Sums> channels(static_cast<size_t>(shape.kv_heads * shape.dim));
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) continue;
    if (!std::isfinite(read_back[i])) {
      ++d.not_finite;
      continue;
    }
    const double value = x[i], error = static_cast<double>(read_back[i]) - value;
    const int64_t at = static_cast<int64_t>(i);
    const int64_t head = at / (shape.tokens * shape.dim);
    for (Sums* s : {&all, &channels[static_cast<size_t>(head * shape.dim + at % shape.dim)]}) {
      s->error2 += error * error;
      s->x += value;
      s->x2 += value * value;
      ++s->n;
    }
    d.max_error = std::max(d.max_error, std::fabs(error));
  }
  if (all.n > 0) {
    d.rmse = std::sqrt(all.error2 / static_cast<double>(all.n));
    d.signal_rms = std::sqrt(all.x2 / static_cast<double>(all.n));
  }
  for (const Sums& s : channels) d.channels.push_back(channel_error(s));
  return d;
}

Result<Distortion> format_distortion(const KvFormat& format, DType dtype, std::span<const float> x,
                                     const KvShape& shape) {
  auto store =
      make_kv_store(format, dtype, static_cast<int>(shape.kv_heads), static_cast<int>(shape.dim));
  KVTOLL_TRY_VOID(store->replace(x, static_cast<int>(shape.tokens)));
  std::vector<float> read_back(x.size());
  const size_t per_head = static_cast<size_t>(shape.tokens * shape.dim);
  for (int64_t h = 0; h < shape.kv_heads; ++h)
    store->decode_head(static_cast<int>(h),
                       {read_back.data() + static_cast<size_t>(h) * per_head, per_head});
  return distortion(x, read_back, shape);
}

}  // namespace kvtoll
