// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Units in the type: Bytes, Nanoseconds, Joules. Sums and differences keep the unit; anything else
// asks for .value.
#pragma once

#include <compare>
#include <cstdint>

namespace kvtoll {

template <class Tag, class Rep>
struct Quantity {
  Rep value{};

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep v) : value(v) {}
  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity& operator+=(Quantity other) { return value += other.value, *this; }
  constexpr Quantity& operator-=(Quantity other) { return value -= other.value, *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr Quantity operator*(Quantity a, Rep n) { return Quantity(a.value * n); }
  friend constexpr Quantity operator*(Rep n, Quantity a) { return Quantity(a.value * n); }
};

using Bytes = Quantity<struct BytesTag, int64_t>;
using Nanoseconds = Quantity<struct NanosecondsTag, int64_t>;
using Joules = Quantity<struct JoulesTag, double>;

// Bytes per nanosecond are gigabytes (1e9) per second.
constexpr double gb_per_s(Bytes bytes, Nanoseconds time) {
  return time.value > 0 ? static_cast<double>(bytes.value) / static_cast<double>(time.value) : 0.0;
}

}  // namespace kvtoll
