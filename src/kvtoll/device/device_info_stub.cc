// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The build without CUDA: says why there is no GPU and how to get one.
#if !defined(KVTOLL_HAVE_CUDA)

#include "kvtoll/device/bandwidth_probe.h"
#include "kvtoll/device/device_info.h"

namespace kvtoll {

DeviceInfo device_info(int ordinal) {
  DeviceInfo info;
  info.ordinal = ordinal;
  info.reason =
      "this kvtoll was built without CUDA; install the CUDA toolkit (nvcc 12.4 or newer) and run "
      "`make build` again";
  return info;
}

int device_count() { return 0; }

Result<MeasuredBandwidth> measure_bandwidth(int ordinal) {
  return machine_error("{}", device_info(ordinal).reason);
}

}  // namespace kvtoll

#endif
