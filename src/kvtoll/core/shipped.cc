// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/shipped.h"

#include <filesystem>

namespace kvtoll {

namespace fs = std::filesystem;

std::string find_shipped(const std::string& path) {
  std::error_code ec;
  if (path.empty() || fs::path(path).is_absolute() || fs::exists(path, ec)) return path;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  if (ec) return path;
  for (fs::path folder = program.parent_path(); folder.has_relative_path();
       folder = folder.parent_path())
    if (fs::exists(folder / path, ec)) return (folder / path).string();
  return path;
}

}  // namespace kvtoll
