// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/device/datasheet.h"

namespace kvtoll {
namespace {

struct Row {
  std::string_view part;  // occurs in the driver's name; the first row that matches wins
  double gb_s;
};

// Sources: NVIDIA datasheets of the A100, H100, H200, GH200, L4, L40S and RTX cards.
constexpr Row kRows[] = {
    {"H200 NVL", 4800.0},
    {"H200", 4800.0},
    {"GH200", 4000.0},
    {"H100 NVL", 3938.0},
    {"H100 PCIe", 2039.0},
    {"H100 80GB HBM2e", 2039.0},
    {"H100 80GB HBM3", 3352.0},
    {"H100 SXM", 3352.0},
    {"H800", 3352.0},
    {"H20", 4000.0},
    {"B200", 8000.0},
    {"A100-SXM4-80GB", 2039.0},
    {"A100 80GB PCIe", 1935.0},
    {"A100-SXM4-40GB", 1555.0},
    {"A100-PCIE-40GB", 1555.0},
    {"A800", 2039.0},
    {"A30", 933.0},
    {"A10G", 600.0},
    {"A10", 600.0},
    {"L40S", 864.0},
    {"L40", 864.0},
    {"L4", 300.0},
    {"RTX 5090", 1792.0},
    {"RTX 4090", 1008.0},
    {"RTX 3090", 936.0},
    {"RTX 6000 Ada", 960.0},
    {"RTX A6000", 768.0},
};

}  // namespace

double datasheet_peak_gb_s(std::string_view device_name) {
  for (const Row& row : kRows)
    if (device_name.find(row.part) != std::string_view::npos) return row.gb_s;
  return 0.0;
}

}  // namespace kvtoll
