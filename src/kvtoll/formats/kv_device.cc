// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/kv_device.h"

#include "kvtoll/core/check.h"
#include "kvtoll/formats/token_store.h"

namespace kvtoll {
namespace {

// Elements are counted in int, four to a thread, whole blocks of threads.
constexpr int64_t kMostElements = (int64_t{1} << 31) - 4096;

}  // namespace

Result<KvDeviceLayout> kv_device_layout(const KvFormat& format, DType dtype, int kv_heads, int dim,
                                        int64_t tokens) {
  KvDeviceLayout layout{format, dtype, {kv_heads, tokens, dim}};
  KVTOLL_TRY(layout.groups, kv_group_layout(format, layout.shape));
  if (layout.shape.elements() > kMostElements)
    return make_error(
        ErrorKind::kUnsupported,
        "{}: {} tokens of {} heads of {} are {} values in one tensor of one sequence and the CUDA "
        "kernels count to {}; use a shorter context",
        format.to_string(), tokens, kv_heads, dim, layout.shape.elements(), kMostElements);
  layout.token_major = groups_inside_vector(format, kv_heads, dim);
  return layout;
}

KvDeviceLayout KvDeviceLayout::part(int64_t tokens) const {
  KVTOLL_CHECK(token_major && tokens <= shape.tokens, "{} of {} tokens", tokens, shape.tokens);
  KvDeviceLayout last = *this;
  last.shape.tokens = tokens;
  last.groups.rows = last.shape.elements() / groups.cols;
  return last;
}

// HQQ: the error of each of the solver's iterations (16 bytes), s and z in float per group, and the
// nodes of the fp32 form.
Bytes kv_quantize_workspace(const KvDeviceLayout& layout) {
  if (layout.format.scheme != KvScheme::kHqq) return Bytes(0);
  constexpr int64_t kErrors = 20 * 16;
  return Bytes(kErrors + 4 * (2 * layout.groups.groups() + detail::solver_nodes(layout)));
}

// quanto: unpacked codes, and for axis -1 the values in the matrix's order. HQQ below 8 bit: what
// the mask and the shift leave, each as large as the payload.
Bytes kv_dequantize_scratch(const KvDeviceLayout& layout) {
  const auto whole = [](int64_t bytes) { return (bytes + 255) / 256 * 256; };
  const int64_t n = layout.shape.elements();
  if (layout.format.scheme == KvScheme::kQuanto)
    return Bytes(whole(n) + (layout.format.axis != 0 ? whole(n * dtype_size(layout.dtype)) : 0));
  if (layout.format.bits == 8) return Bytes(0);
  return Bytes(2 * whole(layout.bytes().payload.value));
}

namespace detail {

int narrow_count(int64_t n) {
  KVTOLL_CHECK(n >= 0 && n < int64_t{1} << 31, "{}", n);
  return static_cast<int>(n);
}

// A node is at least 2^8 terms (torch_sum_power), for the layout and for every part of it.
int64_t solver_nodes(const KvDeviceLayout& layout) {
  if (layout.format.solver == HqqSolver::kFp16) return 0;
  return layout.shape.elements() / 32 / 256 * 32;
}

void check_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p) {
  KVTOLL_CHECK(p.tokens > 0 && p.tokens <= layout.shape.tokens && p.head_stride > 0,
               "{} of {} tokens, head stride {}", p.tokens, layout.shape.tokens, p.head_stride);
  KVTOLL_CHECK(layout.token_major || p.tokens == layout.shape.tokens,
               "{} of {} tokens: this store is rewritten as a whole", p.tokens,
               layout.shape.tokens);
}

}  // namespace detail

Bytes kv_concat_bytes(int64_t tokens, int kv_heads, int dim, DType dtype) {
  return Bytes(2 * tokens * kv_heads * dim * dtype_size(dtype));
}

}  // namespace kvtoll
