// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// libcupti opened at run time, so that a binary starts where it is missing. Used by the two files
// that know the vendor's headers.
#pragma once

#include <string>

namespace kvtoll::profiler {

struct CuptiLibrary {
  void* handle = nullptr;
  std::string path;
  std::string missing;  // why handle is null
};

// Looks where the loader looks, then in the toolkit's folders. Opened once per process.
const CuptiLibrary& cupti_library();

// Address of a function, or nullptr.
void* cupti_symbol(const char* name);

// The text and the cure for a CUptiResult, by its number (CUPTI's documentation, 13.0).
struct CuptiFailure {
  std::string reason, cure;
};
CuptiFailure explain_cupti(int result, const char* call);

}  // namespace kvtoll::profiler
