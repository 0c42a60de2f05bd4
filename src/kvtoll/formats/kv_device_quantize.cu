// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launchers of the encoders. Bytes: x is read once a kernel, codes and parameters written.
#include <limits>
#include <vector>

#include "kvtoll/formats/device_maps.cuh"
#include "kvtoll/formats/hqq.cuh"
#include "kvtoll/formats/hqq_solver.h"
#include "kvtoll/formats/hqq_solver_fp32.cuh"
#include "kvtoll/formats/quanto.cuh"
#include "kvtoll/formats/torch_sum.h"

namespace kvtoll {
namespace {

using namespace device_formats;

struct Job {
  const KvDeviceLayout& layout;
  const KvQuantizeParams& p;
  CudaStream stream;
  const KvRun& run;
  Groups groups;
  GroupOf group_of;
  ScalePlace place;
  Packing packing;
  float levels;
  int64_t x_bytes, meta_bytes, code_bytes;

  template <class T>
  Strided<const T> x() const {
    return {static_cast<const T*>(p.x), p.x_stride};
  }
  template <class T>
  Strided<T> scale() const {
    return {static_cast<T*>(p.scale), p.scale_stride / static_cast<int64_t>(sizeof(T))};
  }
  template <class T>
  Strided<T> offset() const {
    return {static_cast<T*>(p.offset), p.scale_stride / static_cast<int64_t>(sizeof(T))};
  }
  template <class Word>
  Strided<Word> codes() const {
    return {static_cast<Word*>(p.codes), p.code_stride / static_cast<int64_t>(sizeof(Word))};
  }
  bool by_warp() const { return groups.order == Order::kRow; }
  int64_t group_threads() const { return int64_t{groups.count} * (by_warp() ? 32 : 1); }
  bool half_solver() const { return layout.format.solver == HqqSolver::kFp16; }
};

Groups groups_of(const KvDeviceLayout& layout, const KvQuantizeParams& p) {
  const int64_t elements = p.tokens * layout.shape.kv_heads * layout.shape.dim;
  Groups groups;
  groups.order = order_of(layout);
  groups.cols = narrow_count(layout.groups.cols);
  const bool column = groups.order == Order::kColumn || groups.order == Order::kChannel;
  groups.size = groups.order == Order::kSingle ? 1
                : column                       ? narrow_count(layout.groups.rows)
                                               : narrow_count(layout.groups.cols);
  groups.count = narrow_count(elements / groups.size);
  groups.dim = narrow_count(layout.shape.dim);
  groups.per_head = narrow_count(p.tokens * layout.shape.dim);
  groups.head_stride = p.head_stride;
  return groups;
}

Job make_job(const KvDeviceLayout& layout, const KvQuantizeParams& p, CudaStream stream,
             const KvRun& run) {
  detail::check_quantize(layout, p);
  const int64_t first = layout.shape.tokens - p.tokens;
  Job job{layout,
          p,
          stream,
          run,
          groups_of(layout, p),
          device_formats::group_of(layout, order_of(layout)),
          scale_place(layout, p.tokens, first),
          device_formats::packing(layout, p.tokens, first),
          static_cast<float>((1 << layout.format.bits) - 1)};
  const int64_t element = dtype_size(layout.dtype);
  job.x_bytes = p.tokens * layout.shape.kv_heads * layout.shape.dim * element;
  job.meta_bytes = 2 * job.groups.count * element;
  job.code_bytes = job.packing.units * (layout.format.bits == 3 ? 4 : 1);
  return job;
}

template <class T>
void quantize_quanto(const Job& job) {
  const Strided<T> scale = job.scale<T>(), shift = job.offset<T>();
  launch(job.run, {"quanto_scale_kernel", Bytes(job.x_bytes + job.meta_bytes)}, job.stream,
         job.group_threads(), job.p.rows,
         job.by_warp() ? quanto_scale_kernel<T, true> : quanto_scale_kernel<T, false>, job.x<T>(),
         job.groups, job.place, job.levels, scale, shift);
  launch(job.run, {"quanto_encode_kernel", Bytes(job.x_bytes + job.meta_bytes + job.code_bytes)},
         job.stream, job.packing.units, job.p.rows, quanto_encode_kernel<T>, job.x<T>(), job.groups,
         job.group_of, job.place, job.packing, job.levels, read_only(scale), read_only(shift),
         job.codes<uint8_t>());
}

// All rows' errors (the fp32 form's are floats), then each row's s and z, then the fp32 form's
// nodes.
struct Workspace {
  void* errors;         // [kHqqIterations][rows]
  Strided<float> s, z;  // [groups] each
  Strided<float> nodes;
};

Workspace workspace_of(const Job& job) {
  const int rows = job.p.rows.count;
  const int64_t groups = job.layout.groups.groups(), nodes = detail::solver_nodes(job.layout);
  auto* errors = static_cast<SolverError*>(job.p.workspace);
  float* s = reinterpret_cast<float*>(errors + kHqqIterations * rows);
  return {errors, {s, 2 * groups}, {s + groups, 2 * groups}, {s + 2 * groups * rows, nodes}};
}

// Asks on the host, as the library does, whether any row's error still falls.
class HostStop {
 public:
  explicit HostStop(int rows) : best_(rows, std::numeric_limits<float>::infinity()) {}
  template <class Error>
  bool goes_on(const Error* errors, int64_t n, CudaStream stream) {
    std::vector<Error> read(best_.size());
    KVTOLL_CUDA(cudaMemcpyAsync(read.data(), errors, read.size() * sizeof(Error),
                                cudaMemcpyDeviceToHost, stream));
    KVTOLL_CUDA(cudaStreamSynchronize(stream));
    bool any = false;
    for (size_t row = 0; row < best_.size(); ++row) {
      const float mean = mean_error(read[row], n);
      const bool falls = mean < best_[row];
      best_[row] = falls ? mean : -1.0f;  // nothing is below: this row has stopped
      any = any || falls;
    }
    return any;
  }

 private:
  std::vector<float> best_;
};

// iterate(i, errors): iteration i of the rows whose error still falls, Error its form.
template <class Error, class Iterate>
int solve(const Job& job, const Workspace& work, const Iterate& iterate) {
  const int rows = job.p.rows.count;
  const int64_t n = int64_t{job.groups.count} * job.groups.size;
  auto* errors = static_cast<Error*>(work.errors);
  KVTOLL_CUDA(cudaMemsetAsync(errors, 0, kHqqIterations * rows * sizeof(Error), job.stream));
  HostStop host(rows);
  for (int i = 0; i < kHqqIterations; ++i) {
    iterate(i, errors);
    if (job.p.stop == SolverStop::kHost && !host.goes_on(errors + i * rows, n, job.stream))
      return i + 1;
  }
  return kHqqIterations;
}

template <class T>
int solve_fp16(const Job& job, const Workspace& work) {
  return solve<SolverError>(job, work, [&](int i, SolverError* errors) {
    launch(job.run, {"hqq_solve_kernel", Bytes(job.x_bytes + 12 * int64_t{job.groups.count})},
           job.stream, job.group_threads(), job.p.rows,
           job.by_warp() ? hqq_solve_kernel<T, true> : hqq_solve_kernel<T, false>, job.x<T>(),
           job.groups, job.levels, read_only(work.s), work.z, i, errors);
  });
}

TorchOrder torch_order(const Groups& groups) {
  TorchOrder order;
  order.n = narrow_count(int64_t{groups.count} * groups.size);
  order.power = torch_sum_power(order.n / 32);
  order.nodes = (order.n / 32) >> (2 * order.power);
  order.group_power = torch_sum_power(groups.order == Order::kRow ? groups.size / 32 : groups.size);
  order.straight = narrow_count(torch_sum_straight(groups.count));
  order.four_power = torch_sum_power(groups.size / 4);
  return order;
}

int solve_fp32(const Job& job, const Workspace& work) {
  const TorchOrder order = torch_order(job.groups);
  const CacheValues x{job.p.x, job.p.x_stride, job.layout.dtype};
  const int64_t groups = job.groups.count, node_bytes = 4 * 32 * int64_t{order.nodes};
  const int64_t in_nodes = int64_t{order.nodes} * 32 << (2 * order.power);
  const int64_t rest_bytes = (order.n - in_nodes) * job.x_bytes / order.n;
  return solve<float>(job, work, [&](int i, float* errors) {
    const auto go = [&](const KvOp& op, int64_t threads, auto kernel, auto... last) {
      launch(job.run, op, job.stream, threads, job.p.rows, kernel, x, job.groups, last...);
    };
    go({"hqq_error_kernel", Bytes(job.x_bytes - rest_bytes + 8 * groups + node_bytes)},
       kBlock * int64_t{order.nodes}, hqq_error_kernel, job.group_of, order, job.levels,
       read_only(work.s), read_only(work.z), i, errors, work.nodes);
    go({"hqq_mean_kernel", Bytes(rest_bytes + node_bytes)}, 32, hqq_mean_kernel, job.group_of,
       order, job.levels, read_only(work.s), read_only(work.z), i, read_only(work.nodes), errors);
    go({"hqq_rezero_kernel", Bytes(job.x_bytes + 12 * groups)}, job.group_threads(),
       job.by_warp() ? hqq_rezero_kernel<true> : hqq_rezero_kernel<false>, order, job.levels,
       read_only(work.s), work.z, i, errors);
  });
}

template <class T, class Word>
void encode_hqq(const Job& job, const Workspace& work) {
  launch(job.run,
         {"hqq_encode_kernel", Bytes(job.x_bytes + job.code_bytes + 8 * int64_t{job.groups.count})},
         job.stream, job.packing.units, job.p.rows, hqq_encode_kernel<T, Word>, job.x<T>(),
         job.groups, job.group_of, job.packing, job.levels, read_only(work.s), read_only(work.z),
         job.codes<Word>());
}

template <class T>
int quantize_hqq(const Job& job) {
  const Workspace work = workspace_of(job);
  const int64_t groups = job.groups.count;
  const bool half = job.half_solver();
  launch(job.run, {"hqq_scale_kernel", Bytes(job.x_bytes + 8 * groups)}, job.stream,
         job.group_threads(), job.p.rows,
         job.by_warp() ? hqq_scale_kernel<T, true> : hqq_scale_kernel<T, false>, job.x<T>(),
         job.groups, job.levels, half, work.s, work.z);
  const int iterations = half ? solve_fp16<T>(job, work) : solve_fp32(job, work);
  launch(job.run, {"hqq_meta_kernel", Bytes(8 * groups + job.meta_bytes)}, job.stream, groups,
         job.p.rows, hqq_meta_kernel<T>, read_only(work.s), read_only(work.z), half, job.place,
         job.groups.count, job.scale<T>(), job.offset<T>());
  if (job.layout.format.bits == 3)
    encode_hqq<T, uint32_t>(job, work);
  else
    encode_hqq<T, uint8_t>(job, work);
  return iterations;
}

}  // namespace

void kv_device_shrink(HqqSolver solver, const float* e, int n, float* out, CudaStream stream) {
  launch({}, {"hqq_shrink_kernel", Bytes(8 * int64_t{n})}, stream, n, {},
         solver == HqqSolver::kFp16 ? hqq_shrink_kernel<__half> : hqq_shrink_kernel<float>, e, n,
         out);
}

int kv_device_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p, CudaStream stream,
                       const KvRun& run) {
  const Job job = make_job(layout, p, stream, run);
  return with_type(layout.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (!is_quanto(layout)) return quantize_hqq<T>(job);
    quantize_quanto<T>(job);
    return 0;
  });
}

}  // namespace kvtoll
