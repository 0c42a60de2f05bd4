// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the vendor's datasheet says about a GPU, by the name the driver gives it. A card that is not
// in the table has peak 0 and is told so in records. Example: datasheet_peak_gb_s("NVIDIA H200").
#pragma once

#include <string_view>

namespace kvtoll {

// Datasheet memory bandwidth in GB/s (1e9 bytes), 0 when the name is unknown.
double datasheet_peak_gb_s(std::string_view device_name);

}  // namespace kvtoll
