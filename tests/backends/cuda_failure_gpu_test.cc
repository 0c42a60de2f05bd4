// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A launch that fails inside a step: the step says so, and what it did not touch goes on.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/engine/step.h"
#include "support/gpu_test.h"
#include "support/random_checkpoint.h"
#include "support/small_backend.h"

namespace kvtoll {
namespace {

using test::ids;
using test::relative_error;

// While one is alive, launches on the stream fail: it is in a capture that has become invalid, one
// of its own or the caller's.
class FailingLaunches {
 public:
  explicit FailingLaunches(cudaStream_t stream) : stream_(stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    KVTOLL_CUDA(cudaStreamIsCapturing(stream, &status));
    own_ = status == cudaStreamCaptureStatusNone;
    if (own_) KVTOLL_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    EXPECT_NE(cudaStreamSynchronize(stream), cudaSuccess);  // not allowed in a capture
    (void)cudaGetLastError();
  }
  ~FailingLaunches() {
    cudaGraph_t none = nullptr;
    const cudaError_t ended = own_ ? cudaStreamEndCapture(stream_, &none) : cudaSuccess;
    EXPECT_EQ(ended == cudaSuccess, !own_);
    (void)cudaGetLastError();
  }
  FailingLaunches(const FailingLaunches&) = delete;
  FailingLaunches& operator=(const FailingLaunches&) = delete;

 private:
  cudaStream_t stream_;
  bool own_ = false;
};

// Fails in attention or in the last product of the last layer, where told to.
class FailingBackend final : public cuda::CudaBackend {
 public:
  enum class Place { kNowhere, kAttention, kProduct };
  using CudaBackend::CudaBackend;
  void attend(int layer) override {
    at(Place::kAttention, layer, [&] { CudaBackend::attend(layer); });
  }
  void down_add(int layer) override {
    at(Place::kProduct, layer, [&] { CudaBackend::down_add(layer); });
  }
  Place fails = Place::kNowhere;

 private:
  template <class Op>
  void at(Place place, int layer, const Op& op) {
    if (fails != place || layer + 1 < config().layers) return op();
    const FailingLaunches failing(stream());
    op();
  }
};

class CudaFailure : public test::GpuTest {
 protected:
  static constexpr int kSlots = 2;

  std::unique_ptr<FailingBackend> open(const BackendOptions& options, const char* kv) {
    auto backend = std::make_unique<FailingBackend>(model_, options, device_info(0));
    CacheRequest request{.residual_length = 6, .slots = kSlots, .max_tokens = 96, .max_prompt = 64};
    request.layers = KvPolicy::parse(kv)->resolve(model_->config().layers).value();
    EXPECT_TRUE(backend->load());
    EXPECT_TRUE(backend->reserve(request));
    return backend;
  }
  static void prompt(Backend& backend, int slot) {
    const auto tokens = ids(32 + 16 * slot, 3 + static_cast<uint64_t>(slot));
    const SlotTokens slots[] = {{slot, 0, tokens}};
    const auto done = run_step(backend, {.slots = slots, .prefill = true});
    ASSERT_TRUE(done) << done.error().message;
  }
  static Result<void> decode(Backend& backend, int slot) {
    const SlotTokens slots[] = {{slot, backend.length(slot), {}}};
    return run_step(backend, {.slots = slots});
  }
  static std::vector<float> logits_after(Backend& backend, int slot, int steps) {
    for (int i = 0; i < steps; ++i) EXPECT_TRUE(decode(backend, slot));
    const auto row = backend.logits(0);
    return {row.begin(), row.end()};
  }

  std::shared_ptr<const Checkpoint> model_ =
      std::make_shared<test::RandomCheckpoint>(test::small_config(), 9, true);
};

TEST_F(CudaFailure, ALaunchThatFailsEndsItsStepAndNothingElse) {
  struct Case {
    const char* kv;
    Attention attention;
    Launch launch;
    bool decoded = false;
  };
  constexpr Case kCases[] = {
      {"fp16", Attention::kFused, Launch::kEager},
      {"fp16", Attention::kFused, Launch::kGraph},
      {"int8-hqq", Attention::kMaterialize, Launch::kEager},
      {"int8-hqq", Attention::kMaterialize, Launch::kGraph},
      {"int4-quanto", Attention::kFused, Launch::kGraph, true},
  };
  using Place = FailingBackend::Place;
  for (const Case& c : kCases) {
    const BackendOptions options{
        .attention = c.attention, .launch = c.launch, .keep_decoded = c.decoded};
    for (Place place : {Place::kAttention, Place::kProduct}) {
      auto whole = open(options, c.kv), failing = open(options, c.kv);
      for (int slot = 0; slot < kSlots; ++slot) prompt(*whole, slot);
      prompt(*failing, 1);
      int failures = 0;
      // Captured: the first step runs launch by launch, the next is captured. Steps 0 to 6 have a
      // flush among them.
      for (int good = 0; good < 7; ++good) {
        SCOPED_TRACE(fmt::format("{} {} decoded {} place {} after {}", c.kv, launch_name(c.launch),
                                 c.decoded, static_cast<int>(place), good));
        failing->clear_slot(0);
        prompt(*failing, 0);
        for (int i = 0; i < good; ++i) ASSERT_TRUE(decode(*failing, 0));
        failing->fails = place;
        const auto failed = decode(*failing, 0);
        failing->fails = Place::kNowhere;
        if (failed) continue;  // a replayed step: nothing is launched one by one
        ++failures;
        EXPECT_EQ(failed.error().kind, ErrorKind::kMachine);
        EXPECT_NE(failed.error().message.find("cuda"), std::string::npos) << failed.error().message;
      }
      // Captured: at least the first step of all and the first capture.
      EXPECT_GE(failures, c.launch == Launch::kEager ? 7 : 2) << c.kv;
      failing->clear_slot(0);
      prompt(*failing, 0);
      for (int slot : {1, 0}) {
        const auto want = logits_after(*whole, slot, 9), got = logits_after(*failing, slot, 9);
        EXPECT_EQ(relative_error(got, want), 0.0) << c.kv << " slot " << slot;
      }
    }
  }
}

}  // namespace
}  // namespace kvtoll
