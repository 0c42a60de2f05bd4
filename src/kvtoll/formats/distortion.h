// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How much error a format makes on given keys or values: over all numbers and by channel.
// Example: KVTOLL_TRY(Distortion d, format_distortion(format, DType::kF16, keys, shape)); d.rmse
#pragma once

#include <span>
#include <vector>

#include "kvtoll/formats/codec.h"

namespace kvtoll {

struct ChannelError {
  double rmse = 0;       // of the reconstruction
  double deviation = 0;  // standard deviation of the original over positions: what there is to lose
};

struct Distortion {
  double rmse = 0;         // sqrt(mean (x' - x)^2)
  double max_error = 0;    // max |x' - x|
  double signal_rms = 0;   // sqrt(mean x^2)
  int64_t not_finite = 0;  // numbers that are NaN or infinite in x' alone; not in the statistics
  std::vector<ChannelError> channels;  // [kv_head, dim]

  double relative() const { return signal_rms > 0 ? rmse / signal_rms : 0; }
  // Error relative to what varies: a channel that is constant but large hides in relative(). The
  // ratio of the root mean squares of the channels' errors and deviations.
  double relative_to_deviation() const;
};

// x, read_back: [kv_head, pos, dim].
Distortion distortion(std::span<const float> x, std::span<const float> read_back,
                      const KvShape& shape);

// x through the format and back. x: values exactly representable in `dtype`. Errors: kUnsupported,
// as the codec.
Result<Distortion> format_distortion(const KvFormat& format, DType dtype, std::span<const float> x,
                                     const KvShape& shape);

}  // namespace kvtoll
