// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The GGUF container: metadata (key to value) and the table of tensors. The file is mapped and
// nothing in it is trusted; strings and tensors are views into the mapping. A file that ends before
// its tensors' bytes opens (tensors_present() is false), so that a head can be inspected.
// Example: KVTOLL_TRY(auto file, GgufFile::open(path));
//          KVTOLL_TRY(auto layers, file->integer("qwen2.block_count"));
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/files.h"
#include "kvtoll/core/result.h"

namespace kvtoll {

// One metadata value. Integers of all widths become int64 (uint64 beyond that is refused), floats
// double; arrays keep their element kind. Number arrays of all integer widths and bools are int64.
using GgufValue = std::variant<int64_t, double, bool, std::string_view, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string_view>>;

// How a tensor's elements are stored: the type number of the file, its name, and its block.
struct GgufType {
  uint32_t id;
  std::string_view name;  // "Q4_K"
  int block;              // elements per block
  int block_bytes;
};
// Null for a type number that no release of the format that we know of has.
const GgufType* find_gguf_type(uint32_t id);

struct GgufTensor {
  const GgufType* type = nullptr;
  Shape shape;                        // row-major, outermost first: [out, in]
  std::span<const std::byte> blocks;  // empty when the file ends before them
  uint64_t begin = 0, end = 0;        // bytes, from the start of the file
};

class GgufFile {
 public:
  // Errors: kInput naming the file, the place and the rule that is broken: magic, version, counts
  // that the file cannot hold, nested or oversized arrays, a key or tensor twice, unknown types,
  // misaligned or overlapping tensors, sizes that overflow.
  static Result<std::shared_ptr<const GgufFile>> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  const std::map<std::string_view, GgufValue>& metadata() const { return metadata_; }
  const std::map<std::string_view, GgufTensor>& tensors() const { return tensors_; }
  bool tensors_present() const { return needed_bytes_ <= file_->bytes().size(); }
  uint64_t needed_bytes() const { return needed_bytes_; }  // of a complete file
  uint64_t file_bytes() const { return file_->bytes().size(); }

  // Typed access. find_*: null when absent or of another kind. The others: kInput naming file and
  // key when of another kind, or absent and without a fallback.
  bool contains(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }
  Result<int64_t> integer(std::string_view key) const;
  Result<int64_t> integer(std::string_view key, int64_t fallback) const;
  Result<double> number(std::string_view key, double fallback) const;  // integers count
  Result<bool> boolean(std::string_view key, bool fallback) const;
  Result<std::string_view> text(std::string_view key) const;
  const std::vector<std::string_view>* find_strings(std::string_view key) const;
  const std::vector<int64_t>* find_integers(std::string_view key) const;
  const std::vector<double>* find_numbers(std::string_view key) const;
  // Null when there is no such tensor.
  const GgufTensor* find_tensor(std::string_view name) const;

 private:
  GgufFile() = default;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string_view, GgufValue> metadata_;
  std::map<std::string_view, GgufTensor> tensors_;
  uint64_t needed_bytes_ = 0;
};

}  // namespace kvtoll
