// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// MMLU's four categories of subjects, as lm-evaluation-harness groups them.
#pragma once

#include <string_view>

namespace kvtoll {

// "stem", "humanities", "social_sciences", "other"; empty for an unknown subject.
std::string_view mmlu_category(std::string_view subject);

}  // namespace kvtoll
