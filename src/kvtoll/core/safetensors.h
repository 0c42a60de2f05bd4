// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// safetensors files: 8 bytes of header length, a JSON header, then the tensors back to back. The
// reader maps the file and trusts nothing in it; the writer replaces the target atomically.
// Example: KVTOLL_TRY(auto file, SafetensorsFile::open(path));
//          KVTOLL_TRY(TensorView w, file->tensor("lm_head.weight"));
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/files.h"
#include "kvtoll/core/result.h"

namespace kvtoll {

// One entry of the header. A file may hold dtypes and ranks that a TensorView cannot express
// (F8_E4M3, BOOL, five dimensions): they are listed and their bytes are checked, but not read.
struct SafetensorsEntry {
  std::string dtype;            // as in the file: "BF16", "F8_E4M3", ...
  std::vector<int64_t> shape;   // any rank
  uint64_t begin = 0, end = 0;  // bytes, from the start of the file
};

class SafetensorsFile {
 public:
  // Errors: kInput naming the file, the tensor and the rule that is broken: truncated or oversized
  // header, JSON that is not a safetensors header, a name twice, bytes outside the file, overlaps,
  // holes, sizes that do not match the shape.
  static Result<std::shared_ptr<const SafetensorsFile>> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  const std::map<std::string, SafetensorsEntry, std::less<>>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  // A view into the mapping, aligned for its dtype, valid as long as this object. Errors: kInput
  // when there is no such tensor or its dtype or rank cannot be viewed.
  Result<TensorView> tensor(std::string_view name) const;

 private:
  SafetensorsFile() = default;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, SafetensorsEntry, std::less<>> entries_;
  std::map<std::string, std::string> metadata_;
  // Copies of the (rare) tensors that a writer put at an address that their dtype cannot have.
  std::map<std::string, std::vector<uint64_t>, std::less<>> realigned_;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};
// Writes the tensors, widest dtype first so that all are aligned. Errors: kMachine (cannot write).
Result<void> write_safetensors(const std::filesystem::path& path,
                               std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace kvtoll
