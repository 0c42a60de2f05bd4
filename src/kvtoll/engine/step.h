// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One step of the network: what a token costs, in the paper's order. The CPU and the GPU share this
// text.
#pragma once

#include "kvtoll/backends/backend.h"

namespace kvtoll {

// Runs one forward pass (prefill or decode) for the slots of `input`; results are read from the
// backend.
Result<void> run_step(Backend& backend, const StepInput& input);

}  // namespace kvtoll
