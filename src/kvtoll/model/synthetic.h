// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Checkpoints with the shapes of real models and random weights (fp16), so that speed, memory and
// energy can be measured with no download: synthetic:GEOMETRY[:seed=N].
// Example: KVTOLL_TRY(auto checkpoint, open_synthetic("synthetic:tiny-qwen2:seed=7"));
#pragma once

#include <memory>
#include <string>

#include "kvtoll/model/checkpoint.h"

namespace kvtoll {

// Errors: kInput for an unknown geometry (names the nearest and all) or option.
Result<std::shared_ptr<const Checkpoint>> open_synthetic(const std::string& spec);

}  // namespace kvtoll
