// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/build_info.h"

namespace kvtoll {

#include "kvtoll_build_info.inc"

const BuildInfo& build_info() { return kBuildInfo; }

}  // namespace kvtoll
