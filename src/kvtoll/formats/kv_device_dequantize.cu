// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launchers of the decoders, one kernel per operation of the library, and of the concatenation.
// Bytes per value in a 16-bit cache: see kv_device.h.
#include <algorithm>
#include <initializer_list>

#include "kvtoll/formats/concat.cuh"
#include "kvtoll/formats/device_maps.cuh"
#include "kvtoll/formats/hqq.cuh"
#include "kvtoll/formats/quanto.cuh"

namespace kvtoll {
namespace {

using namespace device_formats;

struct Job {
  const KvDeviceLayout& layout;
  const KvDequantizeParams& p;
  CudaStream stream;
  const KvRun& run;
  Packing packing;
  GroupOf group_of;  // of an element in the order in which the library multiplies
  ScalePlace place;
  int n;
  int64_t element;  // bytes

  int64_t quads(int64_t count) const { return (count + 3) / 4; }  // threads, four elements each
  template <class Word>
  Strided<const Word> codes() const {
    return {static_cast<const Word*>(p.codes), p.code_stride / static_cast<int64_t>(sizeof(Word))};
  }
  template <class T>
  Strided<const T> scale() const {
    return {static_cast<const T*>(p.scale), p.scale_stride / element};
  }
  template <class T>
  Strided<const T> offset() const {
    return {static_cast<const T*>(p.offset), p.scale_stride / element};
  }
  template <class T>
  Strided<T> out() const {
    return {static_cast<T*>(p.out), p.out_stride};
  }
  template <class T>
  Strided<T> scratch(int64_t from_byte) const {
    return {reinterpret_cast<T*>(static_cast<char*>(p.scratch) + from_byte),
            kv_dequantize_scratch(layout).value / static_cast<int64_t>(sizeof(T))};
  }
};

Job make_job(const KvDeviceLayout& layout, const KvDequantizeParams& p, CudaStream stream,
             const KvRun& run) {
  const Order order = order_of(layout);
  const int64_t tokens = layout.shape.tokens;
  return {layout,
          p,
          stream,
          run,
          device_formats::packing(layout, tokens, 0),
          device_formats::group_of(layout, order == Order::kChannel ? Order::kColumn : order),
          scale_place(layout, tokens, 0),
          narrow_count(layout.shape.elements()),
          dtype_size(layout.dtype)};
}

void unpack_quanto(const Job& job) {
  const auto kernel =
      job.layout.format.bits == 4 ? quanto_unpack_kernel<4> : quanto_unpack_kernel<2>;
  launch(job.run, {"quanto_unpack_kernel", Bytes(int64_t{job.packing.units} + job.n)}, job.stream,
         job.quads(job.packing.units), job.p.rows, kernel, job.codes<uint8_t>(), job.packing,
         job.scratch<uint8_t>(0));
}

template <class T>
void dequantize_quanto(const Job& job) {
  const bool channels = job.layout.format.axis != 0;
  const Strided<T> y = channels ? job.scratch<T>((int64_t{job.n} + 255) / 256 * 256) : job.out<T>();
  const int64_t values = job.n * job.element;
  const KvRows& rows = job.p.rows;
  unpack_quanto(job);
  launch(job.run, {"quanto_mul_kernel", Bytes(job.n + values)}, job.stream, job.quads(job.n), rows,
         quanto_mul_kernel<T>, read_only(job.scratch<uint8_t>(0)), job.group_of, job.place,
         job.scale<T>(), job.n, y, channels);
  launch(job.run, {"quanto_sub_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n), rows,
         quanto_sub_kernel<T>, job.group_of, job.place, job.offset<T>(), job.n, y, channels);
  if (!channels) return;
  launch(job.run, {"quanto_ungroup_kernel", Bytes(2 * values)}, job.stream, job.n, rows,
         quanto_ungroup_kernel<T>, read_only(y), job.layout.format.group, job.packing.cols,
         job.packing.dim, job.n, job.out<T>());
}

// Each part of the words: masked, shifted (but the lowest), copied to its rows in the cache's
// dtype.
template <class T, class Word>
void unpack_hqq(const Job& job) {
  const int64_t bytes = int64_t{job.packing.units} * sizeof(Word);
  const Strided<Word> masked = job.scratch<Word>(0);
  const Strided<Word> shifted = job.scratch<Word>(kv_dequantize_scratch(job.layout).value / 2);
  const KvRows& rows = job.p.rows;
  const Word level = static_cast<Word>((1u << job.packing.bits) - 1);
  for (int part = 0; part < job.packing.parts; ++part) {
    const int shift = job.packing.token_major ? job.packing.bits * part
                      : job.packing.bits == 3 ? 27 - 3 * part
                                              : 8 - job.packing.bits * (part + 1);
    launch(job.run, {"hqq_and_kernel", Bytes(2 * bytes)}, job.stream, job.quads(job.packing.units),
           rows, hqq_and_kernel<Word>, job.codes<Word>(), static_cast<Word>(level << shift),
           job.packing.units, masked);
    if (shift != 0)
      launch(job.run, {"hqq_shift_kernel", Bytes(2 * bytes)}, job.stream,
             job.quads(job.packing.units), rows, hqq_shift_kernel<Word>, read_only(masked), shift,
             job.packing.units, shifted);
    launch(job.run, {"hqq_copy_kernel", Bytes(bytes + int64_t{job.packing.units} * job.element)},
           job.stream, job.packing.units, rows, hqq_copy_kernel<T, Word>,
           read_only(shift != 0 ? shifted : masked), job.packing, part, job.out<T>());
  }
}

template <class T>
void dequantize_hqq(const Job& job) {
  const int64_t values = job.n * job.element;
  const KvRows& rows = job.p.rows;
  if (job.packing.bits == 8)
    launch(job.run, {"hqq_cast_kernel", Bytes(job.n + values)}, job.stream, job.quads(job.n), rows,
           hqq_cast_kernel<T>, job.codes<uint8_t>(), job.packing, job.out<T>());
  else if (job.packing.bits == 3)
    unpack_hqq<T, uint32_t>(job);
  else
    unpack_hqq<T, uint8_t>(job);
  launch(job.run, {"hqq_sub_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n), rows,
         hqq_sub_kernel<T>, job.group_of, job.place, job.offset<T>(), job.n, job.out<T>());
  launch(job.run, {"hqq_mul_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n), rows,
         hqq_mul_kernel<T>, job.group_of, job.place, job.scale<T>(), job.n, job.out<T>());
}

// Calls f with the unit that vectors of `dim` elements divide into: 16 bytes, or an element.
template <class F>
void with_unit(int dim, int64_t element, std::initializer_list<const void*> pointers, const F& f) {
  bool wide = dim * element % 16 == 0;
  for (const void* p : pointers) wide = wide && reinterpret_cast<uintptr_t>(p) % 16 == 0;
  if (wide)
    f(static_cast<uint4*>(nullptr), static_cast<int>(dim * element / 16));
  else if (element == 2)
    f(static_cast<uint16_t*>(nullptr), dim);
  else
    f(static_cast<uint32_t*>(nullptr), dim);
}

}  // namespace

void kv_device_dequantize(const KvDeviceLayout& layout, const KvDequantizeParams& p,
                          CudaStream stream, const KvRun& run) {
  const Job job = make_job(layout, p, stream, run);
  with_type(layout.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (is_quanto(layout))
      dequantize_quanto<T>(job);
    else
      dequantize_hqq<T>(job);
  });
}

// Blocks for all rows and heads together: enough for any GPU, with no regard to how long rows are.
void kv_device_concat(const KvConcatParams& p, int64_t tokens, DType dtype, CudaStream stream,
                      const KvRun& run) {
  constexpr int kBlocks = 1024;
  with_unit(p.dim, dtype_size(dtype), {p.store, p.exact, p.out}, [&](auto* unit, int vector) {
    using Unit = std::remove_pointer_t<decltype(unit)>;
    const int64_t most = (p.out_capacity * vector + kBlock - 1) / kBlock;
    const int64_t share = std::max(1, kBlocks / (p.rows * p.kv_heads));
    const dim3 grid(static_cast<unsigned>(std::min(most, share)), static_cast<unsigned>(p.kv_heads),
                    static_cast<unsigned>(p.rows));
    run_op(run, {"kv_concat_kernel", kv_concat_bytes(tokens, p.kv_heads, p.dim, dtype)},
           [&] { kv_concat_kernel<Unit><<<grid, kBlock, 0, stream>>>(p, vector); });
  });
}

void kv_device_copy(const KvCopyParams& p, DType dtype, CudaStream stream, const KvRun& run) {
  if (p.tokens == 0) return;
  with_unit(p.dim, dtype_size(dtype), {p.x, p.out}, [&](auto* unit, int vector) {
    using Unit = std::remove_pointer_t<decltype(unit)>;
    const dim3 grid(blocks_for(p.tokens * vector).x, static_cast<unsigned>(p.kv_heads),
                    static_cast<unsigned>(p.rows.count));
    const int64_t tokens = p.tokens * p.rows.count;
    run_op(run, {"kv_copy_kernel", kv_concat_bytes(tokens, p.kv_heads, p.dim, dtype)},
           [&] { kv_copy_kernel<Unit><<<grid, kBlock, 0, stream>>>(p, vector); });
  });
}

}  // namespace kvtoll
