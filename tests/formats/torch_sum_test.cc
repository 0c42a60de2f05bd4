// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Sums that torch 2.15 gave on one thread for x[i] = ((i * 7919) % 10007) / 10007 - 0.3 in float
// (computed in double and rounded): x.sum() of the first n, and x.view(rows, cols).sum(0).
#include "kvtoll/formats/torch_sum.h"

#include <gtest/gtest.h>

#include <vector>

namespace kvtoll {
namespace {

std::vector<float> numbers(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    x[static_cast<size_t>(i)] =
        static_cast<float>(static_cast<double>(i * 7919 % 10007) / 10007.0 - 0.3);
  return x;
}

TEST(TorchSum, Contiguous) {
  struct Case {
    int64_t n;
    float sum;
  };
  const Case cases[] = {
      {1, -0.300000012f}, {7, 1.51826715f},   {8, 1.75768971f},     {64, 13.1536522f},
      {129, 25.6530533f}, {1000, 200.35585f}, {16896, 3379.02417f}, {100000, 19995.4941f},
  };
  int differs_from_naive = 0;
  for (const Case& c : cases) {
    const std::vector<float> x = numbers(c.n);
    EXPECT_EQ(torch_sum_contiguous(x.data(), c.n), c.sum) << c.n;
    float naive = 0.0f;
    for (float value : x) naive += value;
    differs_from_naive += naive != c.sum ? 1 : 0;
  }
  EXPECT_GT(differs_from_naive, 2) << "the order must matter, or the test shows nothing";
}

TEST(TorchSum, AlongRows) {
  struct Case {
    int64_t rows, cols;
    std::vector<float> some;  // sums of columns 0, cols / 2 and cols - 1
  };
  const Case cases[] = {
      {64, 1, {13.1536522f, 13.1536522f, 13.1536522f}},
      {64, 8, {17.6292191f, 7.21380997f, 10.1522532f}},
      {64, 33, {11.4705305f, 12.8088932f, 12.1472569f}},
      {64, 264, {13.1642456f, 11.4557409f, 13.1010895f}},
      {48, 100, {8.43531513f, 10.6658545f, 9.91178131f}},
      {7, 40, {1.63068843f, 1.41913664f, 1.66816211f}},
      {300, 70, {60.9483414f, 59.0819397f, 60.8117294f}},
  };
  for (const Case& c : cases) {
    const std::vector<float> x = numbers(c.rows * c.cols);
    std::vector<float> sums(static_cast<size_t>(c.cols));
    torch_sum_rows(x.data(), c.rows, c.cols, sums.data());
    EXPECT_EQ(sums[0], c.some[0]) << c.rows << " x " << c.cols;
    EXPECT_EQ(sums[static_cast<size_t>(c.cols / 2)], c.some[1]) << c.rows << " x " << c.cols;
    EXPECT_EQ(sums[static_cast<size_t>(c.cols - 1)], c.some[2]) << c.rows << " x " << c.cols;
  }
}

}  // namespace
}  // namespace kvtoll
