// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Makes GGUF files in memory for tests, honest or lying ones. Keys and tensors stand in the order
// of the calls. Example: GgufWriter w;  w.text("general.architecture", "llama");  w.bytes();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvtoll::testing_support {

class GgufWriter {
 public:
  void u32(std::string_view key, uint32_t v) { scalar(key, 4, v); }
  void u64(std::string_view key, uint64_t v) { scalar(key, 10, v); }
  void f32(std::string_view key, float v) { scalar(key, 6, v); }
  void boolean(std::string_view key, bool v) { scalar(key, 7, static_cast<uint8_t>(v)); }
  void text(std::string_view key, std::string_view v) {
    begin(key, 8);
    string(keys_, v);
  }
  void strings(std::string_view key, const std::vector<std::string>& list) {
    array_head(key, 8, list.size());
    for (const auto& item : list) string(keys_, item);
  }
  void i32s(std::string_view key, const std::vector<int32_t>& list) {
    array_head(key, 5, list.size());
    for (int32_t item : list) put(keys_, item);
  }
  // The head of an array, its elements missing unless the caller adds them.
  void array_head(std::string_view key, uint32_t kind, uint64_t count) {
    begin(key, 9);
    put(keys_, kind);
    put(keys_, count);
  }
  // dims: innermost first, as in the file.
  void tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& dims,
              const std::string& blocks) {
    tensor_at(name, type, dims, data_.size());
    data_ += blocks;
    data_.resize((data_.size() + 31) / 32 * 32);
  }
  void tensor_at(std::string_view name, uint32_t type, const std::vector<uint64_t>& dims,
                 uint64_t offset) {
    ++tensor_count_;
    string(tensors_, name);
    put(tensors_, static_cast<uint32_t>(dims.size()));
    for (uint64_t d : dims) put(tensors_, d);
    put(tensors_, type);
    put(tensors_, offset);
  }

  size_t header_bytes() const { return 24 + keys_.size() + tensors_.size(); }
  std::string bytes() const {
    std::string out = "GGUF";
    put(out, uint32_t{3});
    put(out, tensor_count_);
    put(out, key_count_);
    out += keys_ + tensors_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data_;
  }

 private:
  template <class T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void string(std::string& out, std::string_view text) {
    put(out, static_cast<uint64_t>(text.size()));
    out += text;
  }
  void begin(std::string_view key, uint32_t kind) {
    ++key_count_;
    string(keys_, key);
    put(keys_, kind);
  }
  template <class T>
  void scalar(std::string_view key, uint32_t kind, T value) {
    begin(key, kind);
    put(keys_, value);
  }

  uint64_t key_count_ = 0, tensor_count_ = 0;
  std::string keys_, tensors_, data_;
};

}  // namespace kvtoll::testing_support
