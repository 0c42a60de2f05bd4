// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/schedule.h"

#include "kvtoll/core/check.h"

namespace kvtoll {

void CacheSchedule::prefill(int64_t tokens) {
  KVTOLL_CHECK(!prefilled_, "prefill of a sequence that already holds {} tokens", length());
  stored_ = tokens;
  residual_ = 0;
  prefilled_ = true;
}

bool CacheSchedule::update(int64_t n) {
  KVTOLL_CHECK(prefilled_, "update before prefill");
  const bool flushes = next_flushes();
  residual_ += n;
  if (flushes) {
    stored_ += residual_;
    residual_ = 0;
  }
  return flushes;
}

void CacheSchedule::clear() {
  stored_ = residual_ = 0;
  prefilled_ = false;
}

}  // namespace kvtoll
