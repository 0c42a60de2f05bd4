// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What happens to an answer before it is lexed: Unicode mathematics becomes LaTeX, $...$ and \boxed
// are unwrapped, final periods go; and the plain-word form in which text answers are compared.
#pragma once

#include <string>
#include <string_view>

namespace kvtoll {

// The text the lexer reads.
std::string prepare_latex(std::string_view answer);

// "\\text{(C)}", "(c)." -> "c"; "\\textbf{East }" -> "east": lower case, commands of text style and
// everything that is not a letter, a digit or a single inner space removed.
std::string plain_words(std::string_view answer);

}  // namespace kvtoll
