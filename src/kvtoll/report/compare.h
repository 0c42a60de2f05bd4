// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// `kvtoll compare A B`: two records, or two results folders configuration by configuration: speed,
// step latency, time by category, memory, energy, each with its interval.
// Example: KVTOLL_TRY(Comparison c, compare("a.json", "b.json"));  print(c.text);
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/report/difference.h"
#include "kvtoll/report/record.h"

namespace kvtoll::report {

struct ComparedPair {
  std::string label;
  Difference throughput;  // percent of A
};

struct Comparison {
  std::string text;
  std::vector<ComparedPair> pairs;
  // Pairs whose B is slower than A by more than `percent`, beyond the spread.
  std::vector<std::string> slower_than(double percent) const;
  std::string json() const;
};

// Two record files, or two folders whose records are matched by file name. Errors: kUsage for a
// file and a folder, kInput for what cannot be read, is not measured, or has nothing in common.
Result<Comparison> compare(const std::filesystem::path& a, const std::filesystem::path& b);

// One pair, in full.
std::string compare_text(const RunRecord& a, const RunRecord& b);

}  // namespace kvtoll::report
