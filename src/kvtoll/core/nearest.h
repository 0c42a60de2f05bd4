// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// "did you mean": the known word with the fewest edits to what the user wrote.
// Example: suggestion("new_tokenz", keys) -> "; did you mean \"new_tokens\"?"
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kvtoll {

// Empty when nothing is near (more edits than half of the longer word).
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

// The end of an error message: the nearest word, or else the list of all.
std::string suggestion(std::string_view word, std::span<const std::string_view> known);

}  // namespace kvtoll
