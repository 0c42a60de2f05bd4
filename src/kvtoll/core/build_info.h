// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What was built: version, git revision and dirty flag, for every record.
#pragma once

#include <string_view>

namespace kvtoll {

struct BuildInfo {
  std::string_view version;
  std::string_view git_revision;  // "unknown" outside a git checkout
  bool git_dirty;
  std::string_view build_type;
  std::string_view compiler;
  std::string_view cuda_compiler;  // empty in a build without CUDA
};

const BuildInfo& build_info();

}  // namespace kvtoll
