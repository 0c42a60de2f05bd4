// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Traces that other tools wrote: PyTorch's profiler (Chrome trace JSON, plain or gzip) and Nsight
// Systems (SQLite export). Example: KVTOLL_TRY(auto file, read_trace_file("trace.json.gz"));
//   print(table_text(build_kernel_table(file.trace)));
#pragma once

#include <filesystem>
#include <string>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

struct TraceFile {
  std::string tool;    // "pytorch" or "nsight-systems"
  std::string device;  // as the file names it; empty where it does not
  TraceData trace;
};

struct TraceFileOptions {
  // Host ranges whose name starts with this are the steps: PyTorch's own, or your record_function
  // or NVTX ranges. Without any the window is from the first kernel to the last.
  std::string steps = "ProfilerStep#";
};

// Errors: kInput with path, place and cure.
Result<TraceFile> read_trace_file(const std::filesystem::path& path,
                                  const TraceFileOptions& options = {});

// The two readers behind it. `path` is for messages.
Result<TraceFile> read_torch_trace(const std::string& json, const std::filesystem::path& path,
                                   const TraceFileOptions& options);
Result<TraceFile> read_nsys_export(const std::filesystem::path& path,
                                   const TraceFileOptions& options);

}  // namespace kvtoll::profiler
