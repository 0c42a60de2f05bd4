// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What belongs into one figure: the records of one model on one path, by format and length, at the
// residual length that most of them have; and the residual sweep beside it.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/report/results.h"

namespace kvtoll::report {

struct Series {
  std::string title;  // "scribe, cpu" with batch and prompt where they are not the defaults
  std::string slug;   // for file names
  int64_t residual = 0;
  std::vector<std::string> formats;       // in order
  std::vector<int64_t> lengths;           // in order
  std::vector<const RunRecord*> records;  // ok ones at `residual`
  std::vector<const RunRecord*> sweep;    // ok ones of the longest length at every residual
  const RunRecord* at(const std::string& kv, int64_t new_tokens) const;  // nullptr: none
  const RunRecord* swept(const std::string& kv, int64_t residual) const;
  std::vector<int64_t> residuals() const;  // of the sweep, rising
  const RunRecord* baseline(int64_t new_tokens) const;
};

std::vector<Series> make_series(const ResultSet& set);

}  // namespace kvtoll::report
