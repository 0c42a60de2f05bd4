// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// HQQ's solver on the device against the host's: its shrinking operator, and the fp32 form's sums.
#include "kvtoll/formats/hqq_solver.h"
#include "support/device_store.h"

namespace kvtoll {
namespace {

using namespace test;

void expect_shrunk(HqqSolver solver, const std::vector<float>& e) {
  const int64_t n = static_cast<int64_t>(e.size());
  Memory in(4 * n), out(4 * n);
  in.put(e.data(), 4 * n);
  kv_device_shrink(solver, reinterpret_cast<const float*>(in.get()), static_cast<int>(n),
                   reinterpret_cast<float*>(out.get()), nullptr);
  KVTOLL_CUDA(cudaDeviceSynchronize());
  std::vector<float> want(e.size());
  for (size_t i = 0; i < e.size(); ++i) want[i] = hqq_shrunk(solver, e[i]);
  expect_equal(to_floats(DType::kF32, out.read()), want, "shrunk");
}

TEST(KvDeviceSolver, ShrinksEveryHalfAsTheHost) {
  KVTOLL_NEEDS_GPU();
  std::vector<float> e;
  for (uint32_t bits = 0; bits <= 0x7c01; ++bits)
    e.push_back(half_bits_to_float(static_cast<uint16_t>(bits)));
  expect_shrunk(HqqSolver::kFp16, e);
}

// Every float from 0.16 to 0.5, where the power's last bit shows, and every 509th of all.
TEST(KvDeviceSolver, ShrinksFloatsAsTheHost) {
  KVTOLL_NEEDS_GPU();
  std::vector<float> e;
  for (uint32_t bits = 0; bits < 0x7fc00000u; bits += 509) e.push_back(std::bit_cast<float>(bits));
  for (float x = 0.16f; x < 0.5f; x = std::nextafter(x, 1.0f)) e.push_back(-x);
  expect_shrunk(HqqSolver::kFp32, e);
}

// Every order of torch's sums: rows of less than a vector, of 8 to 31, with and without a rest;
// columns before and after the last 32; chains of more than one node, and with longer blocks.
TEST(KvDeviceSolver, AddsAsTheHost) {
  KVTOLL_NEEDS_GPU();
  uint64_t seed = 100;
  for (int64_t group : {1, 2, 3, 5, 7, 8, 12, 20, 31, 33, 64, 72, 100, 288, 1000, 4096}) {
    for (const char* what :
         {"int8-hqq:axis=0", "int2-hqq:axis=0", "int8-hqq:axis=1", "int2-hqq:axis=1"}) {
      const std::string spec = fmt::format("{},solver=fp32,group={}", what, group);
      check_store(spec, DType::kF16, KvData::kNormal, {1, group, 8}, seed++);
      check_store(spec, DType::kF16, KvData::kOutliers, {1, 5 * group, 8}, seed++);
      check_store(spec, DType::kBF16, KvData::kNormal, {1, 8 * group, 9}, seed++);
    }
  }
}

TEST(KvDeviceSolver, AddsLongChainsAsTheHost) {
  KVTOLL_NEEDS_GPU();
  check_store("int8-hqq:solver=fp32,group=1048576", DType::kF16, KvData::kNormal, {16, 16384, 128},
              98);
  check_store("int8-hqq:solver=fp32,axis=1", DType::kF16, KvData::kNormal, {16, 8192 + 24, 128},
              99);
}

}  // namespace
}  // namespace kvtoll
