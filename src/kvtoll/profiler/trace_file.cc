// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_file.h"

#include <algorithm>

#include "kvtoll/core/files.h"
#include "kvtoll/profiler/gzip.h"
#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::profiler {
namespace {

constexpr std::string_view kSqliteMagic = "SQLite format 3";

// Quantized caches made of generic kernels show a part of their cost only.
void note_generic_kernels(TraceFile& file) {
  const KernelTable table = build_kernel_table(file.trace);
  const bool by_stack = std::any_of(
      file.trace.kernels.begin(), file.trace.kernels.end(),
      [](const KernelRecord& k) { return k.context.find("quantize") != std::string_view::npos; });
  if (file.tool != "pytorch" || by_stack || table[Category::kDequantization].time.value == 0)
    return;
  file.trace.notes.push_back(
      "PyTorch quantizes and dequantizes with generic kernels (multiply, add, copy) that stand "
      "under elementwise and memory here: record with with_stack=True, or take the difference to "
      "a trace of the unquantized cache");
}

// Says how much time stands under matrix products whose layer nothing tells, and the cure.
void note_unattributed(TraceFile& file) {
  const KernelTable table = build_kernel_table(file.trace);
  for (const PartTime& part : table.parts) {
    const double share = static_cast<double>(part.time.time.value) /
                         static_cast<double>(std::max<int64_t>(1, table.busy.value));
    if (part.part != "ffn.matmul" || share < 0.01) continue;
    file.trace.notes.push_back(fmt::format(
        "{:.1f} % of the busy time are matrix products whose layer neither name nor context tells "
        "(part ffn.matmul; attention projections are among them): {}",
        100 * share,
        file.tool == "pytorch" ? "record with record_shapes=True or with_stack=True"
                               : "add NVTX ranges per layer (torch.cuda.nvtx or "
                                 "--pytorch=autograd-shapes-nvtx)"));
  }
}

}  // namespace

Result<TraceFile> read_trace_file(const std::filesystem::path& path,
                                  const TraceFileOptions& options) {
  if (path.extension() == ".nsys-rep" || path.extension() == ".qdrep")
    return input_error("{}: a binary report; export it first: nsys export --type sqlite {}",
                       path.string(), path.string());
  KVTOLL_TRY(const auto mapped, MappedFile::open(path));
  const std::string_view bytes(reinterpret_cast<const char*>(mapped->bytes().data()),
                               mapped->bytes().size());
  Result<TraceFile> file;
  if (bytes.starts_with(kSqliteMagic)) {
    file = read_nsys_export(path, options);
  } else if (is_gzip(bytes)) {
    Result<std::string> json = gunzip(bytes);
    if (!json) return input_error("{}: {}", path.string(), json.error().message);
    file = read_torch_trace(*json, path, options);
  } else {
    file = read_torch_trace(std::string(bytes), path, options);
  }
  if (!file) return file;
  note_unattributed(*file);
  note_generic_kernels(*file);
  return file;
}

}  // namespace kvtoll::profiler
