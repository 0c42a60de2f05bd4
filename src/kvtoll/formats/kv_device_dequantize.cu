// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launchers of the decoders, one kernel per operation of the library, and of the concatenation.
// Bytes per value in a 16-bit cache: see kv_device.h.
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

void unpack_quanto(const Job& job, uint8_t* codes) {
  const auto kernel =
      job.layout.format.bits == 4 ? quanto_unpack_kernel<4> : quanto_unpack_kernel<2>;
  launch(job.run, {"quanto_unpack_kernel", Bytes(int64_t{job.packing.units} + job.n)}, job.stream,
         job.quads(job.packing.units), kernel, static_cast<const uint8_t*>(job.p.codes),
         job.packing, codes);
}

template <class T>
void dequantize_quanto(const Job& job) {
  uint8_t* codes = static_cast<uint8_t*>(job.p.scratch);
  const bool channels = job.layout.format.axis != 0;
  T* y = static_cast<T*>(job.p.out);
  if (channels) y = reinterpret_cast<T*>(codes + (int64_t{job.n} + 255) / 256 * 256);
  const int64_t values = job.n * job.element;
  unpack_quanto(job, codes);
  launch(job.run, {"quanto_mul_kernel", Bytes(job.n + values)}, job.stream, job.quads(job.n),
         quanto_mul_kernel<T>, static_cast<const uint8_t*>(codes), job.group_of, job.place,
         static_cast<const T*>(job.p.scale), job.n, y);
  launch(job.run, {"quanto_sub_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n),
         quanto_sub_kernel<T>, job.group_of, job.place, static_cast<const T*>(job.p.offset), job.n,
         y);
  if (!channels) return;
  launch(job.run, {"quanto_ungroup_kernel", Bytes(2 * values)}, job.stream, job.n,
         quanto_ungroup_kernel<T>, static_cast<const T*>(y), job.layout.format.group,
         job.packing.cols, job.packing.dim, job.n, static_cast<T*>(job.p.out));
}

// Each part of the words: masked, shifted (but the lowest), copied to its rows in the cache's
// dtype.
template <class T, class Word>
void unpack_hqq(const Job& job, T* y) {
  const int64_t bytes = int64_t{job.packing.units} * sizeof(Word);
  Word* masked = static_cast<Word*>(job.p.scratch);
  Word* shifted = masked + (bytes + 255) / 256 * 256 / sizeof(Word);
  const Word level = static_cast<Word>((1u << job.packing.bits) - 1);
  for (int part = 0; part < job.packing.parts; ++part) {
    const int shift = job.packing.token_major ? job.packing.bits * part
                      : job.packing.bits == 3 ? 27 - 3 * part
                                              : 8 - job.packing.bits * (part + 1);
    launch(job.run, {"hqq_and_kernel", Bytes(2 * bytes)}, job.stream, job.quads(job.packing.units),
           hqq_and_kernel<Word>, static_cast<const Word*>(job.p.codes),
           static_cast<Word>(level << shift), job.packing.units, masked);
    if (shift != 0)
      launch(job.run, {"hqq_shift_kernel", Bytes(2 * bytes)}, job.stream,
             job.quads(job.packing.units), hqq_shift_kernel<Word>, static_cast<const Word*>(masked),
             shift, job.packing.units, shifted);
    launch(job.run, {"hqq_copy_kernel", Bytes(bytes + int64_t{job.packing.units} * job.element)},
           job.stream, job.packing.units, hqq_copy_kernel<T, Word>,
           static_cast<const Word*>(shift != 0 ? shifted : masked), job.packing, part, y);
  }
}

template <class T>
void dequantize_hqq(const Job& job) {
  T* y = static_cast<T*>(job.p.out);
  const int64_t values = job.n * job.element;
  if (job.packing.bits == 8)
    launch(job.run, {"hqq_cast_kernel", Bytes(job.n + values)}, job.stream, job.quads(job.n),
           hqq_cast_kernel<T>, static_cast<const uint8_t*>(job.p.codes), job.packing, y);
  else if (job.packing.bits == 3)
    unpack_hqq<T, uint32_t>(job, y);
  else
    unpack_hqq<T, uint8_t>(job, y);
  launch(job.run, {"hqq_sub_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n),
         hqq_sub_kernel<T>, job.group_of, job.place, static_cast<const T*>(job.p.offset), job.n, y);
  launch(job.run, {"hqq_mul_kernel", Bytes(2 * values)}, job.stream, job.quads(job.n),
         hqq_mul_kernel<T>, job.group_of, job.place, static_cast<const T*>(job.p.scale), job.n, y);
}

template <class Unit>
void concat(const KvConcatParams& p, int64_t element, const KvOp& op, CudaStream stream,
            const KvRun& run) {
  const int64_t per_unit = static_cast<int64_t>(sizeof(Unit)) / element;
  ConcatPart parts[3];
  int64_t begin = 0;
  for (int k = 0; k < 3; ++k) {
    parts[k] = {p.parts[k].x, p.parts[k].head_stride / per_unit, narrow_count(begin)};
    begin += p.parts[k].tokens * p.dim / per_unit;
  }
  if (begin == 0) return;
  auto go = [&] {
    const dim3 grid(blocks_for(begin).x, static_cast<unsigned>(p.kv_heads));
    kv_concat_kernel<Unit>
        <<<grid, kBlock, 0, stream>>>(parts[0], parts[1], parts[2], narrow_count(begin),
                                      p.out_head_stride / per_unit, static_cast<Unit*>(p.out));
    KVTOLL_CUDA(cudaGetLastError());
  };
  if (run)
    run(op, go);
  else
    go();
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

void kv_device_concat(const KvConcatParams& p, DType dtype, CudaStream stream, const KvRun& run) {
  const int64_t element = dtype_size(dtype);
  bool wide = p.dim * element % 16 == 0 && p.out_head_stride * element % 16 == 0 &&
              reinterpret_cast<uintptr_t>(p.out) % 16 == 0;
  for (const KvStretch& part : p.parts)
    wide = wide && part.head_stride * element % 16 == 0 &&
           reinterpret_cast<uintptr_t>(part.x) % 16 == 0;
  const KvOp op{"kv_concat_kernel", kv_concat_bytes(p, dtype)};
  if (wide)
    concat<uint4>(p, element, op, stream, run);
  else if (element == 2)
    concat<uint16_t>(p, element, op, stream, run);
  else
    concat<uint32_t>(p, element, op, stream, run);
}

}  // namespace kvtoll
