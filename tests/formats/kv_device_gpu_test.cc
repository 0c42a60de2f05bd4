// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Device stores against the host's oracle, bit for bit. Needs a GPU, but for the declared bytes.
#include <map>

#include "support/device_store.h"

namespace kvtoll {
namespace {

using namespace test;

constexpr const char* kSpecs[] = {"int4-quanto",
                                  "int2-quanto",
                                  "int4-quanto:axis=-1,group=16",
                                  "int2-quanto:axis=-1,group=8",
                                  "int4-quanto:group=32",
                                  "int4-quanto:group=256",
                                  "int2-quanto:group=20",
                                  "int8-hqq",
                                  "int4-hqq",
                                  "int3-hqq",
                                  "int2-hqq",
                                  "int1-hqq",
                                  "int8-hqq:axis=1",
                                  "int4-hqq:axis=1",
                                  "int2-hqq:axis=1",
                                  "int1-hqq:axis=1",
                                  "int8-hqq:group=48",
                                  "int4-hqq:axis=1,group=40",
                                  "int8-hqq:solver=fp32",
                                  "int4-hqq:solver=fp32",
                                  "int3-hqq:solver=fp32",
                                  "int2-hqq:solver=fp32",
                                  "int1-hqq:solver=fp32",
                                  "int8-hqq:solver=fp32,axis=1",
                                  "int4-hqq:solver=fp32,axis=1",
                                  "int2-hqq:solver=fp32,axis=1",
                                  "int1-hqq:solver=fp32,axis=1",
                                  "int8-hqq:solver=fp32,group=48",
                                  "int4-hqq:solver=fp32,axis=1,group=40"};
constexpr KvShape kShapes[] = {{4, 33, 128}, {3, 16, 64}, {2, 40, 80}, {1, 1, 64}, {8, 129, 128}};

class KvDevice : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, KvDevice, testing::Values(DType::kF16, DType::kBF16, DType::kF32),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

TEST_P(KvDevice, EncodesAndDecodesAsTheHost) {
  KVTOLL_NEEDS_GPU();
  uint64_t seed = 1;
  for (const char* spec : kSpecs)
    for (const KvShape& shape : kShapes)
      for (KvData kind : {KvData::kNormal, KvData::kOutliers, KvData::kConstant})
        check_store(spec, GetParam(), kind, shape, seed++);
}

TEST(KvDeviceLong, TwoThousandTokens) {
  KVTOLL_NEEDS_GPU();
  for (const char* spec : {"int8-hqq", "int4-hqq:axis=1", "int4-quanto", "int8-hqq:axis=1",
                           "int8-hqq:solver=fp32", "int4-hqq:axis=1,solver=fp32"})
    check_store(spec, DType::kF16, KvData::kOutliers, {4, 2048, 128}, 11);
}

TEST(KvDeviceAppend, PartsEqualTheHostsStore) {
  KVTOLL_NEEDS_GPU();
  for (const char* spec : {"int4-quanto", "int2-quanto:group=32", "int8-hqq:axis=1",
                           "int4-hqq:axis=1", "int1-hqq:axis=1", "int8-hqq:axis=1,solver=fp32"}) {
    const KvFormat format = *KvFormat::parse(spec);
    constexpr int kHeads = 4, kDim = 128, kFirst = 6, kThen = 3;
    const auto a = kv_tensor(KvData::kNormal, DType::kF16, {kHeads, kFirst, kDim}, 21);
    const auto b = kv_tensor(KvData::kOutliers, DType::kF16, {kHeads, kThen, kDim}, 22);
    auto host = make_kv_store(format, DType::kF16, kHeads, kDim);
    ASSERT_TRUE(host->append(a, kFirst));
    ASSERT_TRUE(host->append(b, kThen));
    const auto before = kv_device_layout(format, DType::kF16, kHeads, kDim, kFirst);
    const auto after = kv_device_layout(format, DType::kF16, kHeads, kDim, kFirst + kThen);
    ASSERT_TRUE(before && after && after->token_major);
    DeviceStore store(*after);
    store.quantize(*before, a, kFirst);
    store.quantize(*after, b, kThen);
    std::vector<float> want(kHeads * (kFirst + kThen) * kDim);
    for (int h = 0; h < kHeads; ++h)
      host->decode_head(h, {want.data() + h * (kFirst + kThen) * kDim,
                            static_cast<size_t>((kFirst + kThen) * kDim)});
    expect_equal(store.dequantize(*after), want, spec);
  }
}

TEST(KvDeviceQuantize, ReadsHeadsThatLieApart) {
  KVTOLL_NEEDS_GPU();
  constexpr int64_t kHeads = 2, kTokens = 5, kDim = 64, kCapacity = 9;
  for (const char* spec :
       {"int4-quanto", "int8-hqq", "int8-hqq:solver=fp32", "int4-quanto:axis=-1,group=10"}) {
    const KvFormat format = *KvFormat::parse(spec);
    const KvShape shape{kHeads, kTokens, kDim};
    const auto x = kv_tensor(KvData::kNormal, DType::kF16, shape, 31);
    std::vector<float> apart(kHeads * kCapacity * kDim, 1000.0f);
    for (int64_t h = 0; h < kHeads; ++h)
      std::copy_n(x.begin() + h * kTokens * kDim, kTokens * kDim,
                  apart.begin() + h * kCapacity * kDim);
    const auto layout = kv_device_layout(format, DType::kF16, kHeads, kDim, kTokens);
    ASSERT_TRUE(layout) << layout.error().message;
    DeviceStore store(*layout);
    const std::vector<uint8_t> bytes = to_bytes(DType::kF16, apart);
    Memory input(static_cast<int64_t>(bytes.size())), work(kv_quantize_workspace(*layout).value);
    input.put(bytes.data(), static_cast<int64_t>(bytes.size()));
    kv_device_quantize(*layout,
                       {.x = input.get(),
                        .head_stride = kCapacity * kDim,
                        .tokens = kTokens,
                        .codes = store.codes.get(),
                        .scale = store.scale.get(),
                        .offset = store.offset.get(),
                        .workspace = work.get()},
                       nullptr, {});
    const Quantized oracle = *kv_encode(format, DType::kF16, x, shape);
    EXPECT_EQ(store.codes.read(), expected_store(*layout, oracle).codes) << spec;
  }
}

TEST(KvDeviceQuantize, HostileValuesReadAsOnTheHost) {
  KVTOLL_NEEDS_GPU();
  for (const char* spec : kSpecs) {
    const KvFormat format = *KvFormat::parse(spec);
    const KvShape shape{3, 80, 128};
    auto x = kv_tensor(KvData::kNormal, DType::kF16, shape, 41);
    x[70] = NAN, x[200] = INFINITY, x[1000] = -INFINITY, x[2000] = 60000.0f, x[2001] = -60000.0f;
    const auto layout = kv_device_layout(format, DType::kF16, 3, 128, 80);
    if (!layout) continue;
    DeviceStore store(*layout);
    store.quantize(*layout, x, 80);
    const Quantized oracle = *kv_encode(format, DType::kF16, x, shape);
    std::vector<float> want(x.size());
    kv_decode(format, DType::kF16, oracle, shape, want);
    expect_equal(store.dequantize(*layout), want, spec);
  }
}

std::vector<float> counted(int64_t n, int from) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 600 + from);
  return x;
}

void put(Memory& memory, DType dtype, const std::vector<float>& values) {
  const auto bytes = to_bytes(dtype, values);
  memory.put(bytes.data(), static_cast<int64_t>(bytes.size()));
}

// Two rows in slots 2 and 0, each with a store and a window of its own length.
TEST(KvDeviceConcat, JoinsStoresAndWindowsOfEveryRow) {
  KVTOLL_NEEDS_GPU();
  constexpr int kHeads = 3, kSlots = 3, kRows = 2, kWindow = 4, kMost = 8, kOut = 11;
  const int slots[kRows] = {2, 0}, stored[kSlots] = {7, 0, 5}, lengths[kSlots] = {9, 0, 5};
  Memory slot(sizeof(slots)), start(sizeof(stored)), length(sizeof(lengths));
  slot.put(slots, sizeof(slots));
  start.put(stored, sizeof(stored));
  length.put(lengths, sizeof(lengths));
  for (int dim : {64, 80, 63}) {
    for (DType dtype : {DType::kF16, DType::kF32}) {
      const int64_t head = int64_t{kOut} * dim, element = dtype_size(dtype);
      const auto from_store = counted(int64_t{kRows} * kMost * kHeads * dim, 0);
      const auto from_window = counted(int64_t{kSlots} * kHeads * kWindow * dim, 700);
      std::vector<float> want(kRows * kHeads * head, 0.0f);
      for (int row = 0; row < kRows; ++row)
        for (int h = 0; h < kHeads; ++h) {
          const int64_t kept = stored[slots[row]] * dim;
          const int64_t more = (lengths[slots[row]] + 1) * dim - kept;
          float* out = want.data() + (row * kHeads + h) * head;
          std::copy_n(from_store.begin() + row * kMost * kHeads * dim + h * kept, kept, out);
          std::copy_n(from_window.begin() + (slots[row] * kHeads + h) * kWindow * dim, more,
                      out + kept);
        }
      Memory store(static_cast<int64_t>(from_store.size()) * element),
          window(static_cast<int64_t>(from_window.size()) * element),
          out(static_cast<int64_t>(want.size()) * element);
      put(store, dtype, from_store);
      put(window, dtype, from_window);
      put(out, dtype, std::vector<float>(want.size(), 0.0f));
      const KvConcatParams p{.store = store.get(),
                             .store_stride = int64_t{kMost} * kHeads * dim,
                             .exact = window.get(),
                             .capacity = kWindow,
                             .out = out.get(),
                             .out_capacity = kOut,
                             .slot = reinterpret_cast<const int*>(slot.get()),
                             .length = reinterpret_cast<const int*>(length.get()),
                             .start = reinterpret_cast<const int*>(start.get()),
                             .rows = kRows,
                             .kv_heads = kHeads,
                             .dim = dim};
      kv_device_concat(p, 16, dtype, nullptr, {});
      KVTOLL_CUDA(cudaDeviceSynchronize());
      expect_equal(to_floats(dtype, out.read()), want, fmt::format("dim {}", dim));
    }
  }
}

TEST(KvDeviceCopy, MovesRowsAndHeadsApart) {
  KVTOLL_NEEDS_GPU();
  constexpr int kRows = 2, kPlaces = 3;
  for (int dim : {64, 63}) {
    const int64_t row = 2 * 5 * dim, place = 2 * 9 * dim + 16;
    const auto x = counted(kRows * row, 0);
    std::vector<float> want(static_cast<size_t>(kPlaces * place), 0.0f);
    const KvRows rows{.count = kRows, .values = {2, 0}};
    for (int r = 0; r < kRows; ++r)
      for (int h = 0; h < 2; ++h)
        std::copy_n(x.begin() + r * row + h * 5 * dim, 5 * dim,
                    want.begin() + rows.values[r] * place + h * 9 * dim);
    Memory from(static_cast<int64_t>(x.size()) * 2), out(static_cast<int64_t>(want.size()) * 2);
    put(from, DType::kF16, x);
    put(out, DType::kF16, std::vector<float>(want.size(), 0.0f));
    kv_device_copy({.x = from.get(),
                    .out = out.get(),
                    .head_stride = 5 * dim,
                    .out_head_stride = 9 * dim,
                    .tokens = 5,
                    .kv_heads = 2,
                    .dim = dim,
                    .x_stride = row,
                    .out_stride = place,
                    .rows = rows},
                   DType::kF16, nullptr, {});
    KVTOLL_CUDA(cudaDeviceSynchronize());
    expect_equal(to_floats(DType::kF16, out.read()), want, fmt::format("dim {}", dim));
  }
}

// Equally long stores of several sequences in one launch: each as if it were alone.
TEST(KvDeviceRows, AreQuantizedAsIfAlone) {
  KVTOLL_NEEDS_GPU();
  constexpr int kRows = 3, kStores = 5, kTensors = 4;
  const KvShape shape{4, 33, 128};
  const KvRows rows{.count = kRows, .store = {4, 0, 2}, .values = {1, 3, 0}};
  const int64_t n = shape.elements();
  for (const char* spec :
       {"int4-quanto", "int4-quanto:axis=-1,group=12", "int8-hqq", "int4-hqq", "int3-hqq",
        "int4-hqq:axis=1", "int4-hqq:solver=fp32", "int2-hqq:axis=1,solver=fp32"})
    for (SolverStop stop : {SolverStop::kHost, SolverStop::kDevice}) {
      const KvFormat format = *KvFormat::parse(spec);
      const auto layout = kv_device_layout(format, DType::kF16, 4, 128, shape.tokens);
      ASSERT_TRUE(layout) << layout.error().message;
      const auto apart = [](int64_t bytes) { return (bytes + 255) / 256 * 256; };
      const int64_t code_stride = apart(layout->bytes().payload.value),
                    scale_stride = apart(layout->bytes().scales.value / 2);
      Memory x(kTensors * n * 2), out(kTensors * n * 2), codes(kStores * code_stride),
          scale(kStores * scale_stride), offset(kStores * scale_stride),
          work(kRows * kv_quantize_workspace(*layout).value),
          scratch(kRows * kv_dequantize_scratch(*layout).value);
      std::vector<float> all;
      for (int t = 0; t < kTensors; ++t) {
        const auto kind = t % 2 ? KvData::kOutliers : KvData::kNormal;
        const auto values = kv_tensor(kind, DType::kF16, shape, 50 + static_cast<uint64_t>(t));
        all.insert(all.end(), values.begin(), values.end());
      }
      put(x, DType::kF16, all);
      kv_device_quantize(*layout,
                         {.x = x.get(),
                          .head_stride = shape.tokens * shape.dim,
                          .tokens = shape.tokens,
                          .codes = codes.get(),
                          .scale = scale.get(),
                          .offset = offset.get(),
                          .workspace = work.get(),
                          .stop = stop,
                          .x_stride = n,
                          .code_stride = code_stride,
                          .scale_stride = scale_stride,
                          .rows = rows},
                         nullptr, {});
      kv_device_dequantize(*layout,
                           {.codes = codes.get(),
                            .scale = scale.get(),
                            .offset = offset.get(),
                            .out = out.get(),
                            .scratch = scratch.get(),
                            .code_stride = code_stride,
                            .scale_stride = scale_stride,
                            .out_stride = n,
                            .rows = rows},
                           nullptr, {});
      KVTOLL_CUDA(cudaDeviceSynchronize());
      const auto got = to_floats(DType::kF16, out.read());
      for (int r = 0; r < kRows; ++r) {
        const auto first = all.begin() + rows.values[r] * n;
        const std::vector<float> values(first, first + n);
        const Quantized oracle = *kv_encode(format, DType::kF16, values, shape);
        std::vector<float> want(values.size());
        kv_decode(format, DType::kF16, oracle, shape, want);
        const auto mine = got.begin() + rows.values[r] * n;
        expect_equal({mine, mine + n}, want, fmt::format("{} row {}", spec, r));
      }
    }
}

// Hugging Face's cost per cached value, concatenation included (hf: unpack, mul, sub, cat; to, sub,
// mul, cat). Nothing is launched: the hook keeps the launches back.
TEST(KvDeviceBytes, AreThoseOfTheLibrary) {
  struct Case {
    const char* spec;
    double bytes;
    std::map<std::string, int> kernels;
  };
  const Case cases[] = {
      {"int4-quanto",
       12.5,
       {{"quanto_unpack_kernel", 1},
        {"quanto_mul_kernel", 1},
        {"quanto_sub_kernel", 1},
        {"kv_concat_kernel", 1}}},
      {"int8-hqq",
       15.0,
       {{"hqq_cast_kernel", 1},
        {"hqq_sub_kernel", 1},
        {"hqq_mul_kernel", 1},
        {"kv_concat_kernel", 1}}},
      {"int4-hqq",
       18.0,
       {{"hqq_and_kernel", 2},
        {"hqq_shift_kernel", 1},
        {"hqq_copy_kernel", 2},
        {"hqq_sub_kernel", 1},
        {"hqq_mul_kernel", 1},
        {"kv_concat_kernel", 1}}},
      {"int4-hqq:axis=1", 18.0, {}},
      {"int8-hqq:axis=1", 15.0, {}},
  };
  for (const Case& c : cases) {
    const auto layout = kv_device_layout(*KvFormat::parse(c.spec), DType::kF16, 4, 128, 2048);
    ASSERT_TRUE(layout);
    int64_t bytes = 0;
    std::map<std::string, int> kernels;
    const KvRun count = [&](const KvOp& op, const std::function<void()>&) {
      bytes += op.bytes.value;
      ++kernels[std::string(op.kernel)];
    };
    kv_device_dequantize(*layout, {}, nullptr, count);
    kv_device_concat({.out_capacity = 2048, .kv_heads = 4, .dim = 128}, 2048, DType::kF16, nullptr,
                     count);
    EXPECT_EQ(static_cast<double>(bytes) / static_cast<double>(layout->shape.elements()), c.bytes)
        << c.spec;
    if (c.kernels.empty()) continue;
    EXPECT_EQ(kernels, c.kernels) << c.spec;
  }
}

TEST(KvDeviceLayout, RefusesMoreValuesThanItsKernelsCount) {
  const KvFormat format = *KvFormat::parse("int4-quanto");
  EXPECT_TRUE(kv_device_layout(format, DType::kF16, 4, 128, (int64_t{1} << 22) - 8));
  const auto layout = kv_device_layout(format, DType::kF16, 4, 128, int64_t{1} << 22);
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(layout.error().message.find("2147483648 values"), std::string::npos);
}

TEST(KvDeviceLayout, PartsAreStoresOfTheirOwn) {
  const auto layout = kv_device_layout(*KvFormat::parse("int4-quanto"), DType::kF16, 4, 128, 70);
  ASSERT_TRUE(layout);
  const KvDeviceLayout part = layout->part(5);
  EXPECT_EQ(part.shape.tokens, 5);
  EXPECT_EQ(part.groups.rows, 4 * 5 * 2);
  EXPECT_EQ(part.bytes().payload.value, 4 * 5 * 64);
}

}  // namespace
}  // namespace kvtoll
