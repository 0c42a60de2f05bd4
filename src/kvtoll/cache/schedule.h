// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// When the residual window is flushed, as a pure state machine: Hugging Face's QuantizedCache
// (transformers 4.48 to 5.19).
//   prefill:  the whole prompt is quantized; attention sees the exact values.
//   update:   attention sees [dequantized store, residual, new token]; then, if the residual held
//   at least one token and
//             residual + 1 >= residual_length, store + residual + new are quantized and the
//             residual becomes empty.
// So the period is max(residual_length, 2) updates, and on the flush step attention still sees
// unflushed values.
#pragma once

#include <cstdint>

namespace kvtoll {

// How a flush writes. kAppend: stores whose groups do not move (KvStore::append_only) get only the
// residual and new tokens; others are rebuilt. kRequantizeAll: every store is rebuilt from its own
// dequantized values at each flush, as the library does, bit for bit.
enum class FlushRule : uint8_t { kAppend, kRequantizeAll };

class CacheSchedule {
 public:
  explicit CacheSchedule(int residual_length) : residual_length_(residual_length) {}

  int64_t stored() const { return stored_; }      // tokens in the quantized store
  int64_t residual() const { return residual_; }  // tokens kept exact
  int64_t length() const { return stored_ + residual_; }
  bool empty() const { return !prefilled_; }
  // Would an update by one token now end in a flush?
  bool next_flushes() const {
    return prefilled_ && residual_ > 0 && residual_ + 1 >= residual_length_;
  }

  void prefill(int64_t tokens);  // first call of a sequence
  // A later call with n tokens (1 when decoding). Returns true when it flushed: all tokens are
  // stored, the residual is empty.
  bool update(int64_t n);
  void clear();

 private:
  int residual_length_;
  int64_t stored_ = 0, residual_ = 0;
  bool prefilled_ = false;
};

}  // namespace kvtoll
