// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which kernel did which declared op: the k-th kernel of a step is the k-th op declared in it, by
// name and order. That holds under eager launches and inside graphs alike and needs nothing from
// the vendor's tracer but names and an order. Kernels of libraries, whose names the engine cannot
// know, fall to the declared ops between the same two neighbours.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/trace.h"
#include "kvtoll/profiler/gpu_activity.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

struct DeclaredOp {
  std::string_view kernel;  // literal
  int64_t bytes = 0;
  int32_t layer = -1;
  int32_t step = -1;
};

// The function's own name in a demangled kernel: no return type, namespaces, template arguments or
// parameters. "void ns::gemv_kernel<__half, 8>(Params)" -> "gemv_kernel".
std::string_view kernel_base_name(std::string_view demangled);

TraceData join_launches(const std::vector<DeclaredOp>& ops, std::vector<StepRecord> steps,
                        ActivityLog log);

}  // namespace kvtoll::profiler
