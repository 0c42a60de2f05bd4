// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// LaTeX as plain text the way PRM800K's grader sees it (its LaTeX-to-text library): "\frac{a}{b}"
// -> "a/b" without brackets, "\sqrt{x}" -> "√(x)", symbols as Unicode, unknown commands dropped.
#pragma once

#include <string>
#include <string_view>

namespace kvtoll {

std::string latex_to_plain(std::string_view latex);

}  // namespace kvtoll
