// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Against what the gguf package decodes (tools/golden_gguf_blocks.py), bit for bit.
#include "kvtoll/model/gguf_quant.h"

#include <gtest/gtest.h>

#include <bit>

#include "kvtoll/core/safetensors.h"

namespace kvtoll {
namespace {

TEST(GgufQuant, EqualsTheReferenceBitForBit) {
  const auto golden = *SafetensorsFile::open(KVTOLL_TEST_DATA "/gguf_blocks.safetensors");
  int count = 0;
  for (const uint32_t id : {0, 1, 30, 8, 2, 3, 12, 13, 14}) {
    const GgufType& type = *find_gguf_type(id);
    SCOPED_TRACE(type.name);
    ASSERT_TRUE(can_decode_gguf(type));
    const TensorView blocks = *golden->tensor(fmt::format("{}.blocks", type.name));
    const TensorView want = *golden->tensor(fmt::format("{}.values", type.name));
    ASSERT_EQ(blocks.shape[1], type.block_bytes);
    std::vector<float> got(static_cast<size_t>(want.shape.elements()));
    decode_gguf(
        type,
        {static_cast<const std::byte*>(blocks.data), static_cast<size_t>(blocks.bytes().value)},
        got);
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(got[i]),
                std::bit_cast<uint32_t>(want.at(static_cast<int64_t>(i))))
          << i << ": " << got[i] << " is not " << want.at(static_cast<int64_t>(i));
    ++count;
  }
  EXPECT_EQ(count, 9);
}

TEST(GgufQuant, OtherTypesAreKnownButNotDecoded) {
  for (const uint32_t id : {6, 7, 10, 11, 20, 39}) {
    ASSERT_NE(find_gguf_type(id), nullptr) << id;
    EXPECT_FALSE(can_decode_gguf(*find_gguf_type(id))) << id;
  }
  EXPECT_EQ(find_gguf_type(4), nullptr);  // removed from the format
}

}  // namespace
}  // namespace kvtoll
