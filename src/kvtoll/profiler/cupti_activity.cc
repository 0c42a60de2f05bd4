// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One of the two files that know CUPTI's headers. The activity API writes records into buffers that
// we hand out from a pool taken and touched beforehand; they are read at stop(), never while the
// work runs. Source: CUPTI documentation 13.0, "CUPTI Activity API".
#include <memory>

#include "kvtoll/profiler/cupti_library.h"
#include "kvtoll/profiler/gpu_activity.h"

#if defined(KVTOLL_HAVE_CUDA) && __has_include(<cupti.h>)
#define KVTOLL_HAVE_CUPTI 1
#include <cuda_runtime_api.h>
#include <cupti.h>
#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "kvtoll/core/clock.h"
#endif

namespace kvtoll::profiler {
namespace {

class NoSource : public ActivitySource {
 public:
  explicit NoSource(Availability why) : availability_(std::move(why)) {}
  const Availability& availability() const override { return availability_; }
  Result<void> start() override {
    return machine_error("GPU kernels cannot be traced: {}", availability_.reason);
  }
  ActivityLog stop() override { return {}; }

 private:
  Availability availability_;
};

#ifdef KVTOLL_HAVE_CUPTI

constexpr size_t kBufferBytes = 4 << 20;  // 4 MiB: some 20,000 kernel records
constexpr size_t kPoolBuffers = 8;        // taken at start; more are allocated when they run out

// The functions we call, found at run time.
struct Cupti {
  decltype(&cuptiSubscribe) subscribe;
  decltype(&cuptiUnsubscribe) unsubscribe;
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks;
  decltype(&cuptiActivityRegisterTimestampCallback) register_timestamp;
  decltype(&cuptiActivityEnable) enable;
  decltype(&cuptiActivityDisable) disable;
  decltype(&cuptiActivityFlushAll) flush_all;
  decltype(&cuptiActivityGetNextRecord) next_record;
  decltype(&cuptiActivityGetNumDroppedRecords) dropped;
  decltype(&cuptiActivitySetAttribute) set_attribute;
  decltype(&cuptiGetCallbackName) callback_name;
  bool complete = true;

  Cupti() {
    load(subscribe, "cuptiSubscribe");
    load(unsubscribe, "cuptiUnsubscribe");
    load(register_callbacks, "cuptiActivityRegisterCallbacks");
    load(register_timestamp, "cuptiActivityRegisterTimestampCallback");
    load(enable, "cuptiActivityEnable");
    load(disable, "cuptiActivityDisable");
    load(flush_all, "cuptiActivityFlushAll");
    load(next_record, "cuptiActivityGetNextRecord");
    load(dropped, "cuptiActivityGetNumDroppedRecords");
    load(set_attribute, "cuptiActivitySetAttribute");
    load(callback_name, "cuptiGetCallbackName");
  }
  template <class Function>
  void load(Function& slot, const char* name) {
    slot = reinterpret_cast<Function>(cupti_symbol(name));
    complete = complete && slot;
  }
};

struct AlignedFree {
  void operator()(uint8_t* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<uint8_t, AlignedFree>;

Buffer make_buffer() {
  auto* p = static_cast<uint8_t*>(std::aligned_alloc(4096, kBufferBytes));
  if (p) std::memset(p, 0, kBufferBytes);
  return Buffer(p);
}

// Buffers between CUPTI's threads and ours. The callbacks carry no user pointer, so there is one.
struct BufferPool {
  std::mutex mutex;
  std::vector<Buffer> free;
  struct Full {
    Buffer buffer;
    size_t bytes;
  };
  std::vector<Full> full;

  uint8_t* take() {
    const std::lock_guard lock(mutex);
    if (free.empty()) return make_buffer().release();
    Buffer buffer = std::move(free.back());
    free.pop_back();
    return buffer.release();
  }
  void give(uint8_t* p, size_t bytes) {
    const std::lock_guard lock(mutex);
    full.push_back({Buffer(p), bytes});
  }
};

BufferPool& pool() {
  static BufferPool instance;
  return instance;
}

void CUPTIAPI buffer_requested(uint8_t** buffer, size_t* size, size_t* max_records) {
  *buffer = pool().take();
  *size = *buffer ? kBufferBytes : 0;
  *max_records = 0;
}

void CUPTIAPI buffer_completed(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  pool().give(buffer, valid);
}

uint64_t CUPTIAPI timestamp() { return static_cast<uint64_t>(now().value); }
void CUPTIAPI no_callback(void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}

std::string demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string out = status == 0 && text ? text : name;
  std::free(text);
  return out;
}

std::string_view copy_name(uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "Memcpy HtoD";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "Memcpy DtoH";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "Memcpy DtoD";
    default:
      return "Memcpy";
  }
}

class CuptiSource : public ActivitySource {
 public:
  explicit CuptiSource(const CuptiOptions& options) {
    kinds_.push_back(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
    if (options.copies) {
      kinds_.push_back(CUPTI_ACTIVITY_KIND_MEMCPY);
      kinds_.push_back(CUPTI_ACTIVITY_KIND_MEMSET);
    }
    if (options.api_calls) kinds_.push_back(CUPTI_ACTIVITY_KIND_RUNTIME);
    prepare();
  }
  ~CuptiSource() override {
    if (running_) stop();
    if (subscriber_) cupti_.unsubscribe(subscriber_);
  }

  const Availability& availability() const override { return availability_; }

  Result<void> start() override {
    if (!availability_.available)
      return machine_error("GPU kernels cannot be traced: {}", availability_.reason);
    cudaDeviceSynchronize();
    for (const CUpti_ActivityKind kind : kinds_)
      if (const CUptiResult r = cupti_.enable(kind); r != CUPTI_SUCCESS) {
        const CuptiFailure why = explain_cupti(r, "cuptiActivityEnable");
        return machine_error("GPU kernels cannot be traced: {}; {}", why.reason, why.cure);
      }
    running_ = true;
    return {};
  }

  ActivityLog stop() override {
    ActivityLog log;
    cudaDeviceSynchronize();
    cupti_.flush_all(0);
    for (const CUpti_ActivityKind kind : kinds_) cupti_.disable(kind);
    cupti_.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    running_ = false;
    std::vector<BufferPool::Full> full;
    {
      const std::lock_guard lock(pool().mutex);
      full.swap(pool().full);
    }
    for (BufferPool::Full& f : full) read_buffer(f, log);
    size_t dropped = 0;
    cupti_.dropped(nullptr, 0, &dropped);
    log.dropped = static_cast<int64_t>(dropped);
    return log;
  }

 private:
  void prepare() {
    if (!cupti_library().handle || !cupti_.complete) {
      availability_ = {
          false,
          cupti_library().handle ? "libcupti is older than CUDA 11" : cupti_library().missing,
          "install the CUDA toolkit's CUPTI (cuda-cupti-13-0) or add its folder to "
          "LD_LIBRARY_PATH"};
      return;
    }
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      cudaGetLastError();
      availability_ = {false, "no CUDA device", "run on a machine with an NVIDIA GPU and driver"};
      return;
    }
    const CUptiResult r = cupti_.subscribe(&subscriber_, no_callback, nullptr);
    if (r != CUPTI_SUCCESS) {
      const CuptiFailure why = explain_cupti(r, "cuptiSubscribe");
      availability_ = {false, why.reason, why.cure};
      subscriber_ = nullptr;
      return;
    }
    // The clock before any kind is enabled: kernels then share it with spans and power samples.
    cupti_.register_timestamp(timestamp);
    cupti_.register_callbacks(buffer_requested, buffer_completed);
    uint8_t zeroed = 1;
    size_t size = sizeof zeroed;
    cupti_.set_attribute(CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER, &size, &zeroed);
    const std::lock_guard lock(pool().mutex);
    while (pool().free.size() < kPoolBuffers) pool().free.push_back(make_buffer());
    availability_.available = true;
  }

  void read_buffer(BufferPool::Full& full, ActivityLog& log) {
    CUpti_Activity* record = nullptr;
    while (cupti_.next_record(full.buffer.get(), full.bytes, &record) == CUPTI_SUCCESS)
      read_record(*record, log);
    std::memset(full.buffer.get(), 0, full.bytes);
    const std::lock_guard lock(pool().mutex);
    pool().free.push_back(std::move(full.buffer));
  }

  void read_record(const CUpti_Activity& record, ActivityLog& log) {
    switch (record.kind) {
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      case CUPTI_ACTIVITY_KIND_KERNEL:
        // Version 9 of the record is the beginning of every later one.
        return add_kernel(reinterpret_cast<const CUpti_ActivityKernel9&>(record), log);
      case CUPTI_ACTIVITY_KIND_MEMCPY: {
        const auto& m = reinterpret_cast<const CUpti_ActivityMemcpy5&>(record);
        log.activities.push_back({GpuActivity::Kind::kCopy, copy_name(m.copyKind),
                                  static_cast<int64_t>(m.start), static_cast<int64_t>(m.end),
                                  m.correlationId, m.graphNodeId, m.streamId,
                                  static_cast<int64_t>(m.bytes)});
        return;
      }
      case CUPTI_ACTIVITY_KIND_MEMSET: {
        const auto& m = reinterpret_cast<const CUpti_ActivityMemset4&>(record);
        log.activities.push_back({GpuActivity::Kind::kFill, "Memset", static_cast<int64_t>(m.start),
                                  static_cast<int64_t>(m.end), m.correlationId, m.graphNodeId,
                                  m.streamId, static_cast<int64_t>(m.bytes)});
        return;
      }
      case CUPTI_ACTIVITY_KIND_RUNTIME: {
        const auto& a = reinterpret_cast<const CUpti_ActivityAPI&>(record);
        log.api.push_back({api_name(a.cbid, log), static_cast<int64_t>(a.start),
                           static_cast<int64_t>(a.end), a.threadId});
        return;
      }
      default:
        return;
    }
  }

  void add_kernel(const CUpti_ActivityKernel9& k, ActivityLog& log) {
    // The vendor keeps a name's address for the life of its module: one demangling per kernel.
    auto [it, is_new] = kernel_names_.try_emplace(k.name);
    if (is_new) it->second = demangle(k.name ? k.name : "unnamed kernel");
    log.activities.push_back({GpuActivity::Kind::kKernel, log.names->intern(it->second),
                              static_cast<int64_t>(k.start), static_cast<int64_t>(k.end),
                              k.correlationId, k.graphNodeId, k.streamId, -1});
  }

  std::string_view api_name(CUpti_CallbackId id, ActivityLog& log) {
    auto [it, is_new] = api_names_.try_emplace(id);
    const char* name = nullptr;
    if (is_new && cupti_.callback_name(CUPTI_CB_DOMAIN_RUNTIME_API, id, &name) == CUPTI_SUCCESS &&
        name)
      it->second = name;
    return log.names->intern(it->second);
  }

  Cupti cupti_;
  std::vector<CUpti_ActivityKind> kinds_;
  CUpti_SubscriberHandle subscriber_ = nullptr;
  Availability availability_;
  bool running_ = false;
  std::unordered_map<const char*, std::string> kernel_names_;
  std::unordered_map<uint32_t, std::string> api_names_;
};

#endif  // KVTOLL_HAVE_CUPTI

}  // namespace

std::unique_ptr<ActivitySource> make_cupti_source([[maybe_unused]] const CuptiOptions& options) {
#ifdef KVTOLL_HAVE_CUPTI
  return std::make_unique<CuptiSource>(options);
#else
  return std::make_unique<NoSource>(Availability{
      false, "this build has no CUDA or no CUPTI headers",
      "build with nvcc 12.4 or newer on PATH and the toolkit's CUPTI (cuda-cupti-dev)"});
#endif
}

}  // namespace kvtoll::profiler
