// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Byte-level byte-pair encoding of one piece: starts from single bytes and applies, again and
// again, the leftmost merge of the lowest rank (Sennrich et al. 2016). Example: Bpe::Builder
// builder(vocabulary, where); KVTOLL_TRY_VOID(builder.add("\u0120", "t")); Bpe bpe =
// builder.finish({});
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/model/vocabulary.h"

namespace kvtoll {

struct BpeOptions {
  bool ignore_merges = false;  // a piece that is a token as it stands is not merged (Llama 3)
  int32_t unknown = -1;        // token of a byte that has none; -1: such bytes are dropped
  bool fuse_unknown = false;   // one unknown token for neighbours
};

class Bpe {
 public:
  class Builder;
  // Appends the piece's token ids.
  void encode(std::string_view piece, std::vector<int32_t>& out) const;
  bool has_every_byte() const;

 private:
  struct Merge {
    int32_t rank = INT32_MAX;  // INT32_MAX: no such merge
    int32_t id = -1;           // the token that the pair becomes
  };
  struct Slot {
    uint64_t pair = ~uint64_t{0};
    Merge merge;
  };
  static uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  Slot& slot(uint64_t pair);
  Merge find(int32_t left, int32_t right) const;
  void bytes_to_ids(std::string_view piece, std::vector<int32_t>& ids) const;
  void merge_short(std::vector<int32_t>& ids) const;
  void merge_long(std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_ids_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::unordered_map<std::string, int32_t> whole_;  // bytes of each token, when ignore_merges
  BpeOptions options_;
};

// Takes the merges in order of rank.
class Bpe::Builder {
 public:
  // merges: how many will come. vocabulary and where must outlive the builder.
  Builder(const Vocabulary& vocabulary, size_t merges, const std::string& where);
  // Errors: kInput naming the merge when it is not of two tokens that make a third.
  Result<void> add(std::string_view left, std::string_view right);
  Bpe finish(const BpeOptions& options);

 private:
  const Vocabulary& vocabulary_;
  const std::string& where_;
  Bpe bpe_;
  int32_t rank_ = 0;
  std::string joined_;
};

}  // namespace kvtoll
