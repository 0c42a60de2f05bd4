// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What GPU is there, without any vendor type in sight: for `doctor`, records and the choice of a
// backend. In a build or on a machine without CUDA, available is false and reason says why.
// Example: const DeviceInfo gpu = device_info(0);  if (!gpu.available) show(gpu.reason);
#pragma once

#include <string>
#include <vector>

#include "kvtoll/core/units.h"

namespace kvtoll {

struct DeviceInfo {
  bool available = false;
  std::string reason;  // why not, and the cure; empty when available
  int ordinal = 0;
  std::string name;  // as the driver gives it
  int major = 0, minor = 0;
  int multiprocessors = 0;
  Bytes total, free;
  Bytes l2;
  double peak_gb_s = 0.0;  // datasheet (datasheet.h), 0 when unknown
  std::string driver;      // highest CUDA version the driver serves, "13.0"
  std::string runtime;     // CUDA runtime this binary was linked with
};

// Never throws. Creates the device's context when the device is there.
DeviceInfo device_info(int ordinal);
int device_count();

}  // namespace kvtoll
