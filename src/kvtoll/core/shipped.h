// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Files that ship with the project (models/, results/), found from wherever the program is started.
#pragma once

#include <string>

namespace kvtoll {

// A relative path: as it is if it exists from here, else below the nearest folder above this
// program that has it; unchanged if there is none.
std::string find_shipped(const std::string& path);

}  // namespace kvtoll
