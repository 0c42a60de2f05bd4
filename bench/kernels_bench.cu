// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Each decode kernel of ours alone, cold: weights and caches rotate through buffers larger than the
// L2, the bytes are the ones the launcher declares. Two columns: kernels one after the other, and
// with programmatic dependent launch, as in a captured step. Example: kernels_bench --out
// results/kernels.json
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/rope.h"
#include "kvtoll/backends/cuda/synthetic.h"
#include "kvtoll/core/build_info.h"
#include "kvtoll/device/bandwidth_probe.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/device/stream.h"

namespace kvtoll::cuda {
namespace {

constexpr int64_t kPoolBytes = int64_t{4} << 30;
constexpr int kPasses = 7;
// Qwen2.5-7B
constexpr int kHidden = 3584, kFfn = 18944, kVocab = 152064, kHeads = 28, kKvHeads = 4, kDim = 128;

struct Row {
  std::string name;
  int64_t bytes;
  double us, overlapped_us;
};

class Bench {
 public:
  explicit Bench(const DeviceInfo& device) : device_(device), memory_(0) {}

  Result<void> run() {
    KVTOLL_TRY(peak_, measure_bandwidth(memory_));
    KVTOLL_TRY(pool_, memory_.allocate(Bytes(kPoolBytes), MemoryTag::kWeights));
    KVTOLL_TRY(scratch_, memory_.allocate(Bytes(int64_t{64} << 20), MemoryTag::kWorkspace));
    KVTOLL_CUDA(cudaMemset(scratch_.get(), 0x3c, size_t{64} << 20));
    launch_synthetic({1, 2, 0.02f, 0.0f}, DType::kF16, DType::kF16,
                     {pool_.get(), DType::kF16, kPoolBytes / 2, 1, 1}, stream_.get());
    stream_.synchronize();
    KVTOLL_CUDA(cudaDeviceGetAttribute(&max_shared_, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    prepare_gemv({kHidden, kHidden, kFfn}, DType::kF16, max_shared_);
    attention_room_ = prepare_attention(128, device_.multiprocessors);
    products();
    small();
    for (int64_t context : {128, 1024, 2048, 8192, 32768, 131072}) attention(1, context);
    attention(32, 8192);
    return {};
  }

  void print() const {
    std::printf("%s: %.0f GB/s on paper, %.0f read, %.0f copied\n", device_.name.c_str(),
                device_.peak_gb_s, peak_.read_gb_s, peak_.copy_gb_s);
    std::printf("%-36s %10s %9s %7s %7s %7s | %9s %7s\n", "kernel", "MB", "us", "GB/s", "%paper",
                "%read", "ovl us", "GB/s");
    for (const Row& r : rows_) {
      const double rate = r.bytes / (r.us * 1e3), overlapped = r.bytes / (r.overlapped_us * 1e3);
      std::printf("%-36s %10.2f %9.2f %7.0f %7.1f %7.1f | %9.2f %7.0f\n", r.name.c_str(),
                  r.bytes * 1e-6, r.us, rate, 100 * rate / device_.peak_gb_s,
                  100 * rate / peak_.read_gb_s, r.overlapped_us, overlapped);
    }
  }

  void write(const char* path, const std::string& command) const {
    std::FILE* f = std::fopen(path, "w");
    if (!f) return std::perror(path);
    std::fprintf(f,
                 "{\n  \"bench\": \"kernels\", \"command\": \"%s\", \"git_revision\": \"%s\", "
                 "\"git_dirty\": %s, \"device\": \"%s\",\n  \"peak_gb_s\": %.0f, "
                 "\"measured_read_gb_s\": %.0f, \"measured_copy_gb_s\": %.0f,\n  \"kernels\": [",
                 command.c_str(), std::string(build_info().git_revision).c_str(),
                 build_info().git_dirty ? "true" : "false", device_.name.c_str(), device_.peak_gb_s,
                 peak_.read_gb_s, peak_.copy_gb_s);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const Row& r = rows_[i];
      const double gb_s = r.bytes / (r.us * 1e3);
      std::fprintf(f,
                   "%s\n    {\"kernel\": \"%s\", \"declared_bytes\": %lld, \"time_us\": %.3f, "
                   "\"overlapped_time_us\": %.3f, \"gb_s\": %.1f, \"percent_of_peak\": %.1f}",
                   i ? "," : "", r.name.c_str(), static_cast<long long>(r.bytes), r.us,
                   r.overlapped_us, gb_s, 100 * gb_s / device_.peak_gb_s);
    }
    std::fprintf(f, "\n  ]\n}\n");
    std::fclose(f);
  }

 private:
  // launch(i, context): the i-th launch of a pass. Median time of one launch.
  template <class Launch>
  double time_us(int launches, bool overlap, const Launch& launch) {
    const LaunchContext context{stream_.get(), device_.multiprocessors, max_shared_, overlap};
    launch(0, context);
    stream_.synchronize();
    const GraphExec graph = capture(stream_.get(), [&] {
      for (int i = 0; i < launches; ++i) launch(i, context);
    });
    std::vector<float> times;
    Event start, stop;
    for (int pass = 0; pass < kPasses; ++pass) {
      start.record(stream_.get());
      graph.launch(stream_.get());
      stop.record(stream_.get());
      stop.synchronize();
      times.push_back(stop.since(start));
    }
    std::nth_element(times.begin(), times.begin() + kPasses / 2, times.end());
    return times[kPasses / 2] * 1e3 / launches;
  }

  template <class Launch>
  void add(const std::string& name, Bytes bytes, int launches, const Launch& launch) {
    rows_.push_back(
        {name, bytes.value, time_us(launches, false, launch), time_us(launches, true, launch)});
  }

  // The i-th piece of `bytes` of the pool, whose pieces come round after more than the L2 holds.
  char* cold(int i, int64_t bytes) const {
    const int64_t step = (bytes + 255) / 256 * 256;
    return pool_.get<char>() + i % (kPoolBytes / step) * step;
  }

  using GemvLaunch = void (*)(const GemvParams&, DType, const LaunchContext&);
  void gemv(const char* name, GemvLaunch launch, int rows, int k, int out_bytes, bool adds) {
    const int64_t matrix = int64_t(rows) * k * 2;
    const auto copies = static_cast<int>(kPoolBytes / matrix);
    GemvParams p;
    p.rows = rows;
    p.k = k;
    p.x = scratch_.get<char>();
    p.norm = scratch_.get<float>() + (1 << 20);
    p.eps = 1e-6f;
    p.out = scratch_.get<char>() + (16 << 20);
    add(name, gemv_bytes(rows, k, out_bytes, adds, false), std::min(copies, 64),
        [&](int i, const LaunchContext& context) {
          GemvParams cold = p;
          cold.weights = pool_.get<char>() + i % copies * matrix;
          launch(cold, DType::kF16, context);
        });
  }

  void products() {  // Qwen2.5-7B
    gemv("norm_qkv_gemv_kernel", launch_norm_qkv, 4608, kHidden, 4, false);
    gemv("output_gemv_kernel", launch_output_add, kHidden, kHidden, 4, true);
    gemv("norm_gate_up_gemv_kernel", launch_norm_gate_up, 2 * kFfn, kHidden, 1, false);
    gemv("down_gemv_kernel", launch_down_add, kHidden, kFfn, 4, true);
    gemv("norm_lm_head_gemv_kernel", launch_norm_lm_head, kVocab, kHidden, 4, false);
  }

  // What surrounds the products: one row, or 32 where only batches launch it. (The rows that
  // embed_kernel reads are too few to leave the L2 between passes.)
  void small() {
    constexpr int kRows = 32, kLaunches = 256;
    const auto out = scratch_.get<char>() + (16 << 20);
    auto* ints = scratch_.get<int>() + (8 << 20);
    KVTOLL_CUDA(cudaMemset(ints, 0, 1 << 20));
    const auto at = [](const char* name, int rows) {
      return name + (" x " + std::to_string(rows));
    };
    const RowMap map{ints, ints + 64};
    add(at("embed_kernel", 1), embed_bytes(1, kHidden), kLaunches,
        [&](int i, const LaunchContext& context) {
          EmbedParams p;
          p.table = cold(i, 1 << 20);
          p.tokens = ints;
          p.rows = map;
          p.x = reinterpret_cast<float*>(out);
          p.row_count = 1;
          p.hidden = kHidden;
          launch_embed(p, DType::kF16, context);
        });
    add(at("rmsnorm_kernel", kRows), rmsnorm_bytes(kRows, kHidden), kLaunches,
        [&](int i, const LaunchContext& context) {
          launch_rmsnorm(reinterpret_cast<float*>(cold(i, int64_t{4} * kRows * kHidden)),
                         scratch_.get<float>(), 1e-6f, kRows, kHidden, out, DType::kF16, context);
        });
    add(at("silu_mul_kernel", kRows), silu_mul_bytes(kRows, kFfn), kLaunches,
        [&](int i, const LaunchContext& context) {
          launch_silu_mul(reinterpret_cast<float*>(cold(i, int64_t{8} * kRows * kFfn)), nullptr,
                          kRows, kFfn, out, DType::kF16, context);
        });
    add(at("bias_add_kernel", kRows), bias_add_bytes(kRows, kHidden), kLaunches,
        [&](int i, const LaunchContext& context) {
          launch_bias_add(reinterpret_cast<float*>(cold(i, int64_t{4} * kRows * kHidden)),
                          scratch_.get<float>(), kRows, kHidden, context);
        });
    add(at("rope_append_kernel", kRows), rope_append_bytes(kRows, kHeads, kKvHeads, kDim),
        kLaunches, [&](int i, const LaunchContext& context) {
          RopeParams p;
          p.qkv = reinterpret_cast<float*>(cold(i, int64_t{4} * kRows * 4608));
          p.inv_freq = scratch_.get<float>();
          p.attention_factor = 1.0f;
          p.heads = kHeads;
          p.row_count = kRows;
          p.rows = map;
          p.q = out;
          p.cache = {out + (1 << 20), out + (2 << 20), 128, kKvHeads, kDim, 128};
          p.place = RopeParams::Place::kRow;
          launch_rope_append(p, DType::kF16, context);
        });
    for (int rows : {1, kRows})
      add(at("argmax_kernel", rows), argmax_bytes(rows, kVocab), kLaunches,
          [&](int i, const LaunchContext& context) {
            ArgmaxParams p;
            p.logits = reinterpret_cast<float*>(cold(i, int64_t{4} * rows * kVocab));
            p.vocab = kVocab;
            p.row_count = rows;
            p.slot = ints;
            p.best = reinterpret_cast<unsigned long long*>(ints + 4096);
            p.done = reinterpret_cast<unsigned*>(ints + 8192);
            p.slot_token = ints + 12288;
            p.next = ints + 16384;
            p.length = ints + 20480;
            launch_argmax(p, context);
          });
  }

  void attention(int batch, int64_t tokens) {
    const int64_t tensor = int64_t(batch) * kKvHeads * tokens * kDim * 2;
    const int copies = std::max(1, static_cast<int>(kPoolBytes / (2 * tensor)));
    AttentionParams p;
    p.q = pool_.get();
    p.cache = {nullptr, nullptr, tokens, kKvHeads, kDim};
    auto* state = scratch_.get<int>() + (8 << 20);
    std::vector<int> host(static_cast<size_t>(2 * batch));
    for (int i = 0; i < batch; ++i) host[i] = i, host[batch + i] = static_cast<int>(tokens) - 1;
    KVTOLL_CUDA(cudaMemcpy(state, host.data(), host.size() * 4, cudaMemcpyHostToDevice));
    p.rows = {state, state + batch};
    p.out = scratch_.get<char>() + (56 << 20);
    p.partial = scratch_.get<float>();
    p.stats = reinterpret_cast<float2*>(scratch_.get<char>() + (48 << 20));
    p.arrived = reinterpret_cast<unsigned*>(scratch_.get<char>() + (52 << 20));
    KVTOLL_CUDA(cudaMemset(p.arrived, 0, 4096));
    p.heads = kHeads;
    p.row_count = batch;
    p.grid = attention_grid({batch, kKvHeads, kHeads / kKvHeads, tokens}, attention_room_);
    const std::string at = " " + std::to_string(batch) + " x " + std::to_string(tokens);
    add("attention_decode_kernel" + at,
        attention_decode_bytes(batch * tokens, batch, kHeads, kKvHeads, kDim), std::min(copies, 64),
        [&](int i, const LaunchContext& context) {
          AttentionParams cold = p;
          cold.cache.k = pool_.get<char>() + i % copies * 2 * tensor;
          cold.cache.v = static_cast<char*>(cold.cache.k) + tensor;
          launch_attention_decode(cold, DType::kF16, context);
        });
  }

  DeviceInfo device_;
  int max_shared_ = 0;
  AttentionRoom attention_room_;
  DeviceMemory memory_;
  Stream stream_;
  MeasuredBandwidth peak_;
  DeviceBuffer pool_, scratch_;
  std::vector<Row> rows_;
};

}  // namespace
}  // namespace kvtoll::cuda

int main(int argc, char** argv) {
  using namespace kvtoll;
  const DeviceInfo device = device_info(0);
  if (!device.available) return std::fprintf(stderr, "%s\n", device.reason.c_str()), 4;
  cuda::Bench bench(device);
  if (const auto done = bench.run(); !done)
    return std::fprintf(stderr, "kernels_bench: %s\n", done.error().message.c_str()), 1;
  bench.print();
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i ? " " : "") + std::string(argv[i]);
  for (int i = 1; i + 1 < argc; ++i)
    if (!std::strcmp(argv[i], "--out")) bench.write(argv[i + 1], command);
  return 0;
}
