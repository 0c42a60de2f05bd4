// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>
#include <tuple>

#include "kvtoll/core/rng.h"
#include "kvtoll/model/byte_alphabet.h"

namespace kvtoll {
namespace {

constexpr size_t kShort = 64;  // up to here a scan for the lowest rank beats a heap

}  // namespace

Bpe::Slot& Bpe::slot(uint64_t pair) {
  const size_t mask = slots_.size() - 1;
  size_t i = mix64(pair) & mask;
  while (slots_[i].pair != pair && slots_[i].pair != Slot{}.pair) i = (i + 1) & mask;
  return slots_[i];
}

Bpe::Merge Bpe::find(int32_t left, int32_t right) const {
  const uint64_t pair = pair_of(left, right);
  const size_t mask = slots_.size() - 1;
  for (size_t i = mix64(pair) & mask;; i = (i + 1) & mask) {
    if (slots_[i].pair == pair) return slots_[i].merge;
    if (slots_[i].pair == Slot{}.pair) return {};
  }
}

bool Bpe::has_every_byte() const {
  return std::none_of(byte_ids_.begin(), byte_ids_.end(), [](int32_t id) { return id < 0; });
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  if (options_.ignore_merges) {
    const auto found = whole_.find(std::string(piece));
    if (found != whole_.end()) return out.push_back(found->second);
  }
  thread_local std::vector<int32_t> ids;
  ids.clear();
  bytes_to_ids(piece, ids);
  if (ids.size() <= kShort)
    merge_short(ids);
  else
    merge_long(ids);
  out.insert(out.end(), ids.begin(), ids.end());
}

void Bpe::bytes_to_ids(std::string_view piece, std::vector<int32_t>& ids) const {
  bool after_unknown = false;
  for (char c : piece) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id >= 0)
      ids.push_back(id);
    else if (options_.unknown >= 0 && !(after_unknown && options_.fuse_unknown))
      ids.push_back(options_.unknown);
    after_unknown = id < 0;
  }
}

void Bpe::merge_short(std::vector<int32_t>& ids) const {
  std::array<Merge, kShort> merges;  // merges[i] joins ids[i] and ids[i + 1]
  size_t n = ids.size();
  for (size_t i = 0; i + 1 < n; ++i) merges[i] = find(ids[i], ids[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].rank == INT32_MAX) break;
    ids[best] = merges[best].id;
    std::copy(ids.begin() + best + 2, ids.begin() + n, ids.begin() + best + 1);
    std::copy(merges.begin() + best + 1, merges.begin() + n - 1, merges.begin() + best);
    --n;
    if (best > 0) merges[best - 1] = find(ids[best - 1], ids[best]);
    if (best + 1 < n) merges[best] = find(ids[best], ids[best + 1]);
  }
  ids.resize(n);
}

// The same in n log n: a heap of candidate merges over a linked list.
void Bpe::merge_long(std::vector<int32_t>& ids) const {
  const auto n = static_cast<int32_t>(ids.size());
  std::vector<int32_t> previous(ids.size()),
      next(ids.size());                                     // of the living; next of the last: n
  using Candidate = std::tuple<int32_t, int32_t, int32_t>;  // rank, position, new id
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto propose = [&](int32_t at) {
    if (at < 0 || next[at] >= n) return;
    const Merge merge = find(ids[at], ids[next[at]]);
    if (merge.rank != INT32_MAX) heap.emplace(merge.rank, at, merge.id);
  };
  for (int32_t i = 0; i < n; ++i) previous[i] = i - 1, next[i] = i + 1;
  for (int32_t i = 0; i < n; ++i) propose(i);
  while (!heap.empty()) {
    const auto [rank, at, id] = heap.top();
    heap.pop();
    if (ids[at] < 0 || next[at] >= n) continue;
    const int32_t right = next[at];
    if (const Merge now = find(ids[at], ids[right]); now.rank != rank || now.id != id) continue;
    ids[at] = id;
    ids[right] = -1;  // dead
    next[at] = next[right];
    if (next[at] < n) previous[next[at]] = at;
    propose(previous[at]);
    propose(at);
  }
  ids.erase(std::remove(ids.begin(), ids.end(), -1), ids.end());
}

Bpe::Builder::Builder(const Vocabulary& vocabulary, size_t merges, const std::string& where)
    : vocabulary_(vocabulary), where_(where) {
  bpe_.slots_.resize(std::bit_ceil(std::max<size_t>(16, 2 * merges + 2)));
  for (int b = 0; b < 256; ++b)
    bpe_.byte_ids_[b] = vocabulary.find(byte_to_text(static_cast<uint8_t>(b))).value_or(-1);
}

Result<void> Bpe::Builder::add(std::string_view left, std::string_view right) {
  const auto missing = [&](std::string_view token) {
    return input_error("{}: merge {} ('{}' + '{}'): '{}' is not a token", where_, rank_, left,
                       right, token);
  };
  const auto left_id = vocabulary_.find(left), right_id = vocabulary_.find(right);
  if (!left_id) return missing(left);
  if (!right_id) return missing(right);
  joined_.assign(left).append(right);
  const auto id = vocabulary_.find(joined_);
  if (!id) return missing(joined_);
  const uint64_t pair = pair_of(*left_id, *right_id);
  bpe_.slot(pair) = {pair, {rank_, *id}};  // a merge given twice has the later rank
  ++rank_;
  return {};
}

Bpe Bpe::Builder::finish(const BpeOptions& options) {
  bpe_.options_ = options;
  if (options.ignore_merges)
    for (int32_t id = 0; id < vocabulary_.size(); ++id)
      if (auto bytes = text_to_bytes(vocabulary_.text(id))) bpe_.whole_.emplace(*bytes, id);
  return std::move(bpe_);
}

}  // namespace kvtoll
