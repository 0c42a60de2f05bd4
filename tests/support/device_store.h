// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A store in device memory and its comparison with the host's oracle, bit for bit.
// Example: check_store("int8-hqq", DType::kF16, KvData::kNormal, {4, 33, 128}, seed);
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kvtoll/device/cuda_error.h"
#include "kvtoll/formats/kv_device.h"
#include "kvtoll/formats/token_store.h"
#include "support/kv_tensors.h"

#define KVTOLL_NEEDS_GPU()       \
  if (!kvtoll::test::have_gpu()) \
  GTEST_SKIP() << "no CUDA device: the device formats were not checked"

namespace kvtoll::test {

inline bool have_gpu() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

// Device memory for a test, with a guard of 0xa5 behind it that must survive.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(bytes) {
    KVTOLL_CUDA(cudaMalloc(&data_, static_cast<size_t>(bytes + kGuard)));
    KVTOLL_CUDA(cudaMemset(data_, 0xa5, static_cast<size_t>(bytes + kGuard)));
  }
  ~Memory() { (void)cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  uint8_t* get() const { return static_cast<uint8_t*>(data_); }
  void put(const void* from, int64_t bytes) {
    KVTOLL_CUDA(cudaMemcpy(data_, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice));
  }
  std::vector<uint8_t> read() const {
    std::vector<uint8_t> all(static_cast<size_t>(bytes_ + kGuard));
    KVTOLL_CUDA(cudaMemcpy(all.data(), data_, all.size(), cudaMemcpyDeviceToHost));
    for (size_t i = static_cast<size_t>(bytes_); i < all.size(); ++i)
      EXPECT_EQ(all[i], 0xa5) << "written beyond the end";
    all.resize(static_cast<size_t>(bytes_));
    return all;
  }

 private:
  static constexpr int64_t kGuard = 256;
  void* data_ = nullptr;
  int64_t bytes_;
};

inline std::vector<uint8_t> to_bytes(DType dtype, const std::vector<float>& values) {
  FloatArray array(dtype);
  array.resize(static_cast<int64_t>(values.size()));
  array.set(0, values.data(), array.size());
  return {array.data(), array.data() + array.bytes()};
}

inline std::vector<float> to_floats(DType dtype, const std::vector<uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(dtype_size(dtype)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = TensorView{bytes.data(), dtype, Shape{static_cast<int64_t>(values.size())}}.at(
        static_cast<int64_t>(i));
  return values;
}

inline void expect_equal(const std::vector<float>& got, const std::vector<float>& want,
                         const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool same = got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]));
    ASSERT_TRUE(same) << what << " [" << i << "]: device " << got[i] << ", host " << want[i];
  }
}

// A store in device memory.
struct DeviceStore {
  explicit DeviceStore(const KvDeviceLayout& layout)
      : codes(layout.bytes().payload.value),
        scale(layout.bytes().scales.value / 2),
        offset(layout.bytes().scales.value / 2) {}
  Memory codes, scale, offset;

  int quantize(const KvDeviceLayout& layout, const std::vector<float>& x, int64_t tokens,
               SolverStop stop = SolverStop::kHost) {
    const std::vector<uint8_t> bytes = to_bytes(layout.dtype, x);
    Memory input(static_cast<int64_t>(bytes.size()));
    input.put(bytes.data(), static_cast<int64_t>(bytes.size()));
    Memory workspace(kv_quantize_workspace(layout).value);
    const int iterations = kv_device_quantize(layout,
                                              {.x = input.get(),
                                               .head_stride = tokens * layout.shape.dim,
                                               .tokens = tokens,
                                               .codes = codes.get(),
                                               .scale = scale.get(),
                                               .offset = offset.get(),
                                               .workspace = workspace.get(),
                                               .stop = stop},
                                              nullptr, {});
    KVTOLL_CUDA(cudaDeviceSynchronize());
    workspace.read();
    return iterations;
  }

  std::vector<float> dequantize(const KvDeviceLayout& layout) {
    Memory out(layout.shape.elements() * dtype_size(layout.dtype));
    Memory scratch(kv_dequantize_scratch(layout).value);
    kv_device_dequantize(layout,
                         {.codes = codes.get(),
                          .scale = scale.get(),
                          .offset = offset.get(),
                          .out = out.get(),
                          .scratch = scratch.get()},
                         nullptr, {});
    KVTOLL_CUDA(cudaDeviceSynchronize());
    scratch.read();
    return to_floats(layout.dtype, out.read());
  }
};

// What the device's memory should hold, from the host's codes.
struct Expected {
  std::vector<uint8_t> codes;
  std::vector<float> scale, offset;
};

inline Expected expected_store(const KvDeviceLayout& layout, const Quantized& q) {
  if (!layout.token_major) return {kv_pack(layout.format, q), q.scale, q.offset};
  const auto [heads, tokens, dim] = layout.shape;
  const int64_t bytes = token_store_vector_bytes(layout.format.bits, dim);
  const int64_t groups = dim / layout.format.group;
  Expected e;
  e.codes.resize(static_cast<size_t>(tokens * heads * bytes));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t from = h * tokens + t, to = t * heads + h;
      pack_vector(layout.format.bits, &q.codes[static_cast<size_t>(from * dim)], dim,
                  &e.codes[static_cast<size_t>(to * bytes)]);
      for (int64_t k = 0; k < groups; ++k) {
        e.scale.push_back(q.scale[static_cast<size_t>(from * groups + k)]);
        e.offset.push_back(q.offset[static_cast<size_t>(from * groups + k)]);
      }
    }
  }
  return e;
}

// Codes, parameters, iterations, what either way of stopping leaves, and what is read back.
inline void check_store(const std::string& spec, DType dtype, KvData kind, const KvShape& shape,
                        uint64_t seed) {
  const KvFormat format = *KvFormat::parse(spec);
  const auto layout = kv_device_layout(format, dtype, static_cast<int>(shape.kv_heads),
                                       static_cast<int>(shape.dim), shape.tokens);
  if (!layout) {
    EXPECT_EQ(layout.error().kind, ErrorKind::kUnsupported);
    return;
  }
  const std::string what = fmt::format("{} {} [{}, {}, {}] seed {}", spec, dtype_name(dtype),
                                       shape.kv_heads, shape.tokens, shape.dim, seed);
  const std::vector<float> x = kv_tensor(kind, dtype, shape, seed);
  const Quantized oracle = *kv_encode(format, dtype, x, shape);
  const Expected want = expected_store(*layout, oracle);
  DeviceStore store(*layout);
  EXPECT_EQ(store.quantize(*layout, x, shape.tokens), oracle.iterations) << what;
  expect_equal(to_floats(dtype, store.scale.read()), want.scale, what + " scale");
  expect_equal(to_floats(dtype, store.offset.read()), want.offset, what + " offset");
  EXPECT_EQ(store.codes.read(), want.codes) << what;
  if (format.scheme == KvScheme::kHqq) {
    DeviceStore alone(*layout);
    alone.quantize(*layout, x, shape.tokens, SolverStop::kDevice);
    expect_equal(to_floats(dtype, alone.offset.read()), want.offset, what + " stopped by itself");
    EXPECT_EQ(alone.codes.read(), want.codes) << what << " stopped by itself";
  }
  std::vector<float> values(x.size());
  kv_decode(format, dtype, oracle, shape, values);
  expect_equal(store.dequantize(*layout), values, what + " dequantized");
}

}  // namespace kvtoll::test
