// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/study.h"

namespace kvtoll::studies {

const std::vector<BuiltinStudy>& builtin_studies() {
  static const std::vector<BuiltinStudy> studies = {
#include "kvtoll_studies.inc"
  };
  return studies;
}

}  // namespace kvtoll::studies
