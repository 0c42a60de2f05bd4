// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Files: a read-only mapping, whole-file reads, and atomic writes (a temporary file renamed over
// the target, so that a reader sees the old file or the new one and a full disk leaves nothing
// half-written).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kvtoll/core/result.h"

namespace kvtoll {

class MappedFile {
 public:
  // Errors: kInput with path and cause when the file is missing, unreadable or a folder. An empty
  // file maps to an empty span.
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size);
  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

Result<std::string> read_file(const std::filesystem::path& path);

// Writes `content` to `path` by way of a temporary file in the same folder, fsync and rename; makes
// missing parent folders. Errors: kMachine with path and cause (no permission, full disk); the old
// file, if any, is untouched.
Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content);

}  // namespace kvtoll
