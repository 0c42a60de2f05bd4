// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/gguf_quant.h"

#include <cstring>

#include "kvtoll/core/check.h"
#include "kvtoll/core/half.h"

namespace kvtoll {
namespace {

constexpr int kBlockK = 256;

void decode_block(const GgufQ4_0& b, float* out) {
  const float d = b.d.value();
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b.q[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((b.q[i] >> 4) - 8);
  }
}

void decode_block(const GgufQ4_1& b, float* out) {
  const float d = b.d.value(), m = b.m.value();
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b.q[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(b.q[i] >> 4) + m;
  }
}

void decode_block(const GgufQ8_0& b, float* out) {
  const float d = b.d.value();
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(b.q[i]);
}

struct GroupScale {
  float scale, min;
};
GroupScale group_scale(const std::array<uint8_t, 12>& s, int g) {
  if (g < 4) return {static_cast<float>(s[g] & 63), static_cast<float>(s[g + 4] & 63)};
  return {static_cast<float>((s[g + 4] & 15) | ((s[g - 4] >> 6) << 4)),
          static_cast<float>((s[g + 4] >> 4) | ((s[g] >> 6) << 4))};
}

// code(g, i): the code of element i of group g.
template <class Block, class Code>
void decode_groups(const Block& b, float* out, const Code& code) {
  const float d = b.d.value(), dmin = b.dmin.value();
  for (int g = 0; g < 8; ++g) {
    const GroupScale group = group_scale(b.scales, g);
    const float scale = d * group.scale, min = dmin * group.min;
    for (int i = 0; i < 32; ++i) out[32 * g + i] = scale * static_cast<float>(code(g, i)) - min;
  }
}

void decode_block(const GgufQ4_K& b, float* out) {
  decode_groups(b, out,
                [&](int g, int i) { return (b.q[32 * (g / 2) + i] >> (4 * (g % 2))) & 15; });
}

void decode_block(const GgufQ5_K& b, float* out) {
  decode_groups(b, out, [&](int g, int i) {
    const int low = (b.q[32 * (g / 2) + i] >> (4 * (g % 2))) & 15;
    return low | (((b.high[i] >> g) & 1) << 4);
  });
}

void decode_block(const GgufQ6_K& b, float* out) {
  const float d = b.d.value();
  for (int part = 0; part < 8; ++part) {  // 32 values each
    const int half = part / 4, quarter = part % 4;
    const uint8_t* low = b.low.data() + 64 * half + 32 * (quarter % 2);
    const uint8_t* high = b.high.data() + 32 * half;
    for (int group = 0; group < 2; ++group) {
      const float scale = d * static_cast<float>(b.scales[2 * part + group]);
      for (int i = 16 * group; i < 16 * group + 16; ++i) {
        const int code =
            ((low[i] >> (4 * (quarter / 2))) & 15) | (((high[i] >> (2 * quarter)) & 3) << 4);
        out[32 * part + i] = scale * static_cast<float>(code - 32);
      }
    }
  }
}

template <class Block>
void decode_all(std::span<const std::byte> blocks, int values_per_block, float* out) {
  for (; blocks.size() >= sizeof(Block); blocks = blocks.subspan(sizeof(Block))) {
    Block block;
    std::memcpy(&block, blocks.data(), sizeof(block));
    decode_block(block, out);
    out += values_per_block;
  }
}

using Decoder = void (*)(std::span<const std::byte>, float*);
Decoder find_decoder(const GgufType& type) {
  switch (type.id) {
    case 0:
      return [](std::span<const std::byte> b, float* out) { std::memcpy(out, b.data(), b.size()); };
    case 1:
      return [](std::span<const std::byte> b, float* out) {
        for (size_t i = 0; i < b.size() / 2; ++i) {
          uint16_t bits;
          std::memcpy(&bits, b.data() + 2 * i, 2);
          out[i] = half_bits_to_float(bits);
        }
      };
    case 30:
      return [](std::span<const std::byte> b, float* out) {
        for (size_t i = 0; i < b.size() / 2; ++i) {
          uint16_t bits;
          std::memcpy(&bits, b.data() + 2 * i, 2);
          out[i] = bfloat16_bits_to_float(bits);
        }
      };
    case 2:
      return [](std::span<const std::byte> b, float* out) { decode_all<GgufQ4_0>(b, 32, out); };
    case 3:
      return [](std::span<const std::byte> b, float* out) { decode_all<GgufQ4_1>(b, 32, out); };
    case 8:
      return [](std::span<const std::byte> b, float* out) { decode_all<GgufQ8_0>(b, 32, out); };
    case 12:
      return
          [](std::span<const std::byte> b, float* out) { decode_all<GgufQ4_K>(b, kBlockK, out); };
    case 13:
      return
          [](std::span<const std::byte> b, float* out) { decode_all<GgufQ5_K>(b, kBlockK, out); };
    case 14:
      return
          [](std::span<const std::byte> b, float* out) { decode_all<GgufQ6_K>(b, kBlockK, out); };
    default:
      return nullptr;
  }
}

}  // namespace

float GgufHalf::value() const {
  return half_bits_to_float(static_cast<uint16_t>(bytes[0] | (bytes[1] << 8)));
}

bool can_decode_gguf(const GgufType& type) { return find_decoder(type) != nullptr; }

void decode_gguf(const GgufType& type, std::span<const std::byte> blocks, std::span<float> values) {
  const Decoder decoder = find_decoder(type);
  const auto per_block = static_cast<size_t>(type.block),
             size = static_cast<size_t>(type.block_bytes);
  KVTOLL_CHECK(decoder != nullptr && values.size() % per_block == 0 &&
                   blocks.size() == values.size() / per_block * size,
               "{}: {} bytes for {} values", type.name, blocks.size(), values.size());
  decoder(blocks, values.data());
}

}  // namespace kvtoll
