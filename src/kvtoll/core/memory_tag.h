// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a piece of memory is for. Every allocation of the engine carries one; the split stands in
// each record.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kvtoll/core/units.h"

namespace kvtoll {

enum class MemoryTag : uint8_t { kWeights, kKvPayload, kKvScales, kKvResidual, kWorkspace };
inline constexpr std::array<std::string_view, 5> kMemoryTagNames = {
    "weights", "kv_payload", "kv_scales", "kv_residual", "workspace"};

struct MemorySplit {
  std::array<Bytes, 5> by_tag{};
  Bytes& operator[](MemoryTag tag) { return by_tag[static_cast<size_t>(tag)]; }
  Bytes operator[](MemoryTag tag) const { return by_tag[static_cast<size_t>(tag)]; }
  Bytes total() const {
    Bytes sum{};
    for (Bytes b : by_tag) sum += b;
    return sum;
  }
  Bytes kv() const {
    return (*this)[MemoryTag::kKvPayload] + (*this)[MemoryTag::kKvScales] +
           (*this)[MemoryTag::kKvResidual];
  }
};

}  // namespace kvtoll
