// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// libFuzzer's way in: an input is the reference answer, a line break, the answer. Built and run by
// scripts/fuzz_grader.
#include <cstddef>
#include <cstdint>

#include "quality/grading/grade_anything.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(text.find('\n'), text.size());
  kvtoll::testing::grade_anything(text.substr(0, line),
                                  text.substr(std::min(line + 1, text.size())));
  return 0;
}
