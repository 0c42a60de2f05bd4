// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The one clock of host measurements: CLOCK_MONOTONIC_RAW in nanoseconds, so that spans, energy
// edges and kernel traces share it.
#pragma once

#include <time.h>

#include "kvtoll/core/units.h"

namespace kvtoll {

inline Nanoseconds now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return Nanoseconds(static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec);
}

}  // namespace kvtoll
