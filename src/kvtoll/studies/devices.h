// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One study on several GPUs: a process of this program per device, each with its shard of the
// blocks and the same results folder. Example: run_on_devices({0, 1}, argv)
#pragma once

#include <string>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll::studies {

// argv of the process for `device`, which is number `index` of `count` (from 1): --devices is
// replaced, --shard and --quiet are added.
std::vector<std::string> device_command(const std::vector<std::string>& argv, int device, int index,
                                        int count);

// Runs all and waits; returns the worst exit code (the highest). Errors: kUsage with --shard,
// kMachine when a process cannot be started.
Result<int> run_on_devices(const std::vector<int>& devices, const std::vector<std::string>& argv);

}  // namespace kvtoll::studies
