// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One of the two files that know CUPTI's headers. Range profiler with the caller's ranges and one
// pass, so that nothing is replayed. Source:
// CUPTI documentation 13.0, "CUPTI Range Profiling API" and "CUPTI Profiling Host API" (CUDA 12.6
// and newer).
#include "kvtoll/profiler/cupti_library.h"
#include "kvtoll/profiler/dram_counter.h"

#if defined(KVTOLL_HAVE_CUDA) && __has_include(<cupti_range_profiler.h>)
#define KVTOLL_HAVE_CUPTI_RANGE 1
#include <cuda_runtime_api.h>
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>
#include <dlfcn.h>
#include <fmt/format.h>
#endif

namespace kvtoll::profiler {
namespace {

class NoCounter : public DramCounter {
 public:
  explicit NoCounter(Availability why) : availability_(std::move(why)) {}
  const Availability& availability() const override { return availability_; }
  Result<void> start(size_t) override {
    return machine_error("DRAM bytes cannot be counted: {}", availability_.reason);
  }
  void begin_range() override {}
  void end_range() override {}
  Result<std::vector<DramCount>> stop() override {
    return machine_error("DRAM bytes cannot be counted: {}", availability_.reason);
  }

 private:
  Availability availability_;
};

#ifdef KVTOLL_HAVE_CUPTI_RANGE

// One pass on every chip since GA100 (asked of the host API when the counter is made).
constexpr const char* kMetrics[] = {"dram__bytes_read.sum", "dram__bytes_write.sum",
                                    "gpu__time_duration.sum"};
constexpr size_t kMetricCount = std::size(kMetrics);

// Calls a CUPTI function by name with its parameter struct; keeps the first failure.
class Caller {
 public:
  template <class Params>
  bool operator()(const char* name, Params& params) {
    if (failed_) return false;
    using Function = CUptiResult (*)(Params*);
    const auto function = reinterpret_cast<Function>(cupti_symbol(name));
    if (!function) {
      failed_ = true;
      why_ = {fmt::format("libcupti has no {} (it came with CUDA 12.6)", name),
              "install CUPTI of CUDA 12.6 or newer"};
      return false;
    }
    const CUptiResult r = function(&params);
    if (r == CUPTI_SUCCESS) return true;
    failed_ = true;
    why_ = explain_cupti(r, name);
    return false;
  }
  void fail(CuptiFailure why) {
    if (!failed_) why_ = std::move(why);
    failed_ = true;
  }
  void reset() { failed_ = false; }
  bool failed() const { return failed_; }
  const CuptiFailure& why() const { return why_; }

 private:
  bool failed_ = false;
  CuptiFailure why_;
};

CUcontext current_context() {
  cudaFree(nullptr);
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  using GetCurrent = int (*)(CUcontext*);
  const auto get =
      driver ? reinterpret_cast<GetCurrent>(dlsym(driver, "cuCtxGetCurrent")) : nullptr;
  CUcontext context = nullptr;
  if (!get || get(&context) != 0) return nullptr;
  return context;
}

class RangeCounter : public DramCounter {
 public:
  RangeCounter() {
    if (!cupti_library().handle) {
      call_.fail({cupti_library().missing, "install the CUDA toolkit's CUPTI"});
    } else if (!(context_ = current_context())) {
      call_.fail({"no CUDA device", "run on a machine with an NVIDIA GPU and driver"});
    } else {
      prepare_host();
      try_permission();
    }
    availability_ = {!call_.failed(), call_.why().reason, call_.why().cure};
  }
  ~RangeCounter() override {
    call_.reset();
    disable();
    if (host_) {
      CUpti_Profiler_Host_Deinitialize_Params p{
          CUpti_Profiler_Host_Deinitialize_Params_STRUCT_SIZE};
      p.pHostObject = host_;
      call_("cuptiProfilerHostDeinitialize", p);
    }
  }

  const Availability& availability() const override { return availability_; }

  Result<void> start(size_t max_ranges) override {
    if (!availability_.available)
      return machine_error("DRAM bytes cannot be counted: {}", availability_.reason);
    call_.reset();
    cudaDeviceSynchronize();
    enable();
    configure(max_ranges);
    CUpti_RangeProfiler_Start_Params p{CUpti_RangeProfiler_Start_Params_STRUCT_SIZE};
    p.pRangeProfilerObject = range_;
    call_("cuptiRangeProfilerStart", p);
    if (!call_.failed()) return {};
    disable();
    return machine_error("DRAM bytes cannot be counted: {}; {}", call_.why().reason,
                         call_.why().cure);
  }

  void begin_range() override {
    cudaDeviceSynchronize();
    CUpti_RangeProfiler_PushRange_Params p{CUpti_RangeProfiler_PushRange_Params_STRUCT_SIZE};
    p.pRangeProfilerObject = range_;
    const std::string name = std::to_string(ranges_++);
    p.pRangeName = name.c_str();
    call_("cuptiRangeProfilerPushRange", p);
  }

  void end_range() override {
    cudaDeviceSynchronize();
    CUpti_RangeProfiler_PopRange_Params p{CUpti_RangeProfiler_PopRange_Params_STRUCT_SIZE};
    p.pRangeProfilerObject = range_;
    call_("cuptiRangeProfilerPopRange", p);
  }

  Result<std::vector<DramCount>> stop() override {
    cudaDeviceSynchronize();
    CUpti_RangeProfiler_Stop_Params stop{CUpti_RangeProfiler_Stop_Params_STRUCT_SIZE};
    stop.pRangeProfilerObject = range_;
    call_("cuptiRangeProfilerStop", stop);
    CUpti_RangeProfiler_DecodeData_Params decode{CUpti_RangeProfiler_DecodeData_Params_STRUCT_SIZE};
    decode.pRangeProfilerObject = range_;
    call_("cuptiRangeProfilerDecodeData", decode);
    std::vector<DramCount> counts = read_ranges();
    const bool failed = call_.failed();
    const CuptiFailure why = call_.why();
    call_.reset();
    disable();
    if (failed) return machine_error("reading DRAM counters failed: {}; {}", why.reason, why.cure);
    if (decode.numOfRangeDropped > 0)
      return machine_error(
          "{} operations were beyond the room for DRAM counters: the counted steps launched more "
          "than those before",
          decode.numOfRangeDropped);
    return counts;
  }

 private:
  void prepare_host() {
    CUpti_Profiler_Initialize_Params init{CUpti_Profiler_Initialize_Params_STRUCT_SIZE};
    call_("cuptiProfilerInitialize", init);
    int device = 0;
    cudaGetDevice(&device);
    CUpti_Device_GetChipName_Params chip{CUpti_Device_GetChipName_Params_STRUCT_SIZE};
    chip.deviceIndex = static_cast<size_t>(device);
    call_("cuptiDeviceGetChipName", chip);
    CUpti_Profiler_GetCounterAvailability_Params have{
        CUpti_Profiler_GetCounterAvailability_Params_STRUCT_SIZE};
    have.ctx = context_;
    if (!call_("cuptiProfilerGetCounterAvailability", have)) return;
    std::vector<uint8_t> image(have.counterAvailabilityImageSize);
    have.pCounterAvailabilityImage = image.data();
    call_("cuptiProfilerGetCounterAvailability", have);
    CUpti_Profiler_Host_Initialize_Params host{CUpti_Profiler_Host_Initialize_Params_STRUCT_SIZE};
    host.profilerType = CUPTI_PROFILER_TYPE_RANGE_PROFILER;
    host.pChipName = chip.pChipName;
    host.pCounterAvailabilityImage = image.data();
    if (!call_("cuptiProfilerHostInitialize", host)) return;
    host_ = host.pHostObject;
    make_config();
  }

  void make_config() {
    CUpti_Profiler_Host_ConfigAddMetrics_Params add{
        CUpti_Profiler_Host_ConfigAddMetrics_Params_STRUCT_SIZE};
    add.pHostObject = host_;
    add.ppMetricNames = const_cast<const char**>(kMetrics);
    add.numMetrics = kMetricCount;
    call_("cuptiProfilerHostConfigAddMetrics", add);
    CUpti_Profiler_Host_GetConfigImageSize_Params size{
        CUpti_Profiler_Host_GetConfigImageSize_Params_STRUCT_SIZE};
    size.pHostObject = host_;
    if (!call_("cuptiProfilerHostGetConfigImageSize", size)) return;
    config_.resize(size.configImageSize);
    CUpti_Profiler_Host_GetConfigImage_Params get{
        CUpti_Profiler_Host_GetConfigImage_Params_STRUCT_SIZE};
    get.pHostObject = host_;
    get.configImageSize = config_.size();
    get.pConfigImage = config_.data();
    call_("cuptiProfilerHostGetConfigImage", get);
    CUpti_Profiler_Host_GetNumOfPasses_Params passes{
        CUpti_Profiler_Host_GetNumOfPasses_Params_STRUCT_SIZE};
    passes.configImageSize = config_.size();
    passes.pConfigImage = config_.data();
    if (call_("cuptiProfilerHostGetNumOfPasses", passes) && passes.numOfPasses != 1)
      call_.fail({fmt::format("this chip needs {} passes for DRAM bytes", passes.numOfPasses),
                  "use an A100 or newer data-centre card"});
  }

  // Enabling is what the driver refuses to users without the permission.
  void try_permission() {
    enable();
    if (!call_.failed()) disable();
  }

  void enable() {
    CUpti_RangeProfiler_Enable_Params p{CUpti_RangeProfiler_Enable_Params_STRUCT_SIZE};
    p.ctx = context_;
    if (call_("cuptiRangeProfilerEnable", p)) range_ = p.pRangeProfilerObject;
  }

  void disable() {
    if (!range_) return;
    CUpti_RangeProfiler_Disable_Params p{CUpti_RangeProfiler_Disable_Params_STRUCT_SIZE};
    p.pRangeProfilerObject = range_;
    call_("cuptiRangeProfilerDisable", p);
    range_ = nullptr;
  }

  void configure(size_t max_ranges) {
    CUpti_RangeProfiler_GetCounterDataSize_Params size{
        CUpti_RangeProfiler_GetCounterDataSize_Params_STRUCT_SIZE};
    size.pRangeProfilerObject = range_;
    size.pMetricNames = const_cast<const char**>(kMetrics);
    size.numMetrics = kMetricCount;
    size.maxNumOfRanges = max_ranges;
    size.maxNumRangeTreeNodes = static_cast<uint32_t>(max_ranges);
    if (!call_("cuptiRangeProfilerGetCounterDataSize", size)) return;
    image_.assign(size.counterDataSize, 0);
    CUpti_RangeProfiler_CounterDataImage_Initialize_Params init{
        CUpti_RangeProfiler_CounterDataImage_Initialize_Params_STRUCT_SIZE};
    init.pRangeProfilerObject = range_;
    init.counterDataSize = image_.size();
    init.pCounterData = image_.data();
    call_("cuptiRangeProfilerCounterDataImageInitialize", init);
    CUpti_RangeProfiler_SetConfig_Params set{CUpti_RangeProfiler_SetConfig_Params_STRUCT_SIZE};
    set.pRangeProfilerObject = range_;
    set.configSize = config_.size();
    set.pConfig = config_.data();
    set.counterDataImageSize = image_.size();
    set.pCounterDataImage = image_.data();
    set.range = CUPTI_UserRange;
    set.replayMode = CUPTI_UserReplay;
    set.maxRangesPerPass = max_ranges;
    set.numNestingLevels = 1;
    set.minNestingLevel = 1;
    set.passIndex = 0;
    set.targetNestingLevel = 1;
    call_("cuptiRangeProfilerSetConfig", set);
  }

  std::vector<DramCount> read_ranges() {
    CUpti_RangeProfiler_GetCounterDataInfo_Params info{
        CUpti_RangeProfiler_GetCounterDataInfo_Params_STRUCT_SIZE};
    info.pCounterDataImage = image_.data();
    info.counterDataImageSize = image_.size();
    if (!call_("cuptiRangeProfilerGetCounterDataInfo", info)) return {};
    std::vector<DramCount> counts(info.numTotalRanges);
    for (size_t i = 0; i < counts.size(); ++i) {
      double values[kMetricCount] = {};
      CUpti_Profiler_Host_EvaluateToGpuValues_Params evaluate{
          CUpti_Profiler_Host_EvaluateToGpuValues_Params_STRUCT_SIZE};
      evaluate.pHostObject = host_;
      evaluate.pCounterDataImage = image_.data();
      evaluate.counterDataImageSize = image_.size();
      evaluate.rangeIndex = i;
      evaluate.ppMetricNames = const_cast<const char**>(kMetrics);
      evaluate.numMetrics = kMetricCount;
      evaluate.pMetricValues = values;
      if (!call_("cuptiProfilerHostEvaluateToGpuValues", evaluate)) return {};
      counts[i] = {values[0], values[1], values[2]};
    }
    return counts;
  }

  Caller call_;
  CUcontext context_ = nullptr;
  CUpti_Profiler_Host_Object* host_ = nullptr;
  CUpti_RangeProfiler_Object* range_ = nullptr;
  std::vector<uint8_t> config_, image_;
  int64_t ranges_ = 0;  // named by number
  Availability availability_;
};

#endif  // KVTOLL_HAVE_CUPTI_RANGE

}  // namespace

std::unique_ptr<DramCounter> make_dram_counter() {
#ifdef KVTOLL_HAVE_CUPTI_RANGE
  return std::make_unique<RangeCounter>();
#else
  return std::make_unique<NoCounter>(
      Availability{false, "this build has no CUDA 12.6 range profiler",
                   "build with the CUDA toolkit 12.6 or newer and its CUPTI headers"});
#endif
}

}  // namespace kvtoll::profiler
