// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How fast this card's memory really is: the ceiling that kernels are compared with. Reading counts
// bytes read; copying counts bytes read plus written. Takes about 30 ms.
// Example: KVTOLL_TRY(const MeasuredBandwidth peak, measure_bandwidth(memory));
#pragma once

#include "kvtoll/core/result.h"
#include "kvtoll/device/memory.h"

namespace kvtoll {

struct MeasuredBandwidth {
  double read_gb_s = 0.0;
  double copy_gb_s = 0.0;
};

// Median of several passes over a buffer many times the L2 (4 GiB, less when the card is nearly
// full). Errors: kOutOfMemory when not even 256 MiB are free.
Result<MeasuredBandwidth> measure_bandwidth(DeviceMemory& memory);
// The same on a device of which nothing is held yet. Errors also: kMachine without CUDA or device.
Result<MeasuredBandwidth> measure_bandwidth(int ordinal);

}  // namespace kvtoll
