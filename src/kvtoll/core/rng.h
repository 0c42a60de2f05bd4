// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: element i of stream s of seed k is a pure function, the same on
// host and device, so that synthetic weights can be made anywhere, in any order, and be equal bit
// for bit. (SplitMix64 finalizer, Steele et al. 2014.)
#pragma once

#include <cstdint>

#include "kvtoll/core/portable.h"

namespace kvtoll {

KVTOLL_HD constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

KVTOLL_HD constexpr uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
  return mix64(mix64(seed ^ mix64(stream)) + index);
}

// Uniform in [-1, 1) with 24 random bits: exact in float on every machine.
KVTOLL_HD constexpr float random_symmetric(uint64_t seed, uint64_t stream, uint64_t index) {
  return static_cast<float>(static_cast<int32_t>(random_bits(seed, stream, index) >> 40) -
                            (1 << 23)) *
         (1.0f / (1 << 23));
}

// A small sequential generator over the same function, for tests, data generators and sampling.
class Rng {
 public:
  explicit constexpr Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  constexpr uint64_t next() { return random_bits(seed_, stream_, index_++); }
  // Uniform integer in [0, n), n > 0 (multiply-shift; the bias is below 2^-32 for n < 2^32).
  constexpr uint64_t below(uint64_t n) { return ((next() >> 32) * n) >> 32; }
  constexpr int64_t between(int64_t low, int64_t high) {  // both ends included
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low + 1)));
  }
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)

 private:
  uint64_t seed_, stream_, index_ = 0;
};

}  // namespace kvtoll
