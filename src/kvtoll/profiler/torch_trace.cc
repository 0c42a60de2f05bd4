// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// PyTorch's profiler (Kineto) writes one "complete" event (ph X) per kernel, copy, runtime call,
// operator and, with with_stack=True, Python frame; times in microseconds. A kernel names the API
// call that launched it by `correlation`. Events are read one by one; the file's tree is never in
// memory.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "kvtoll/profiler/launch_context.h"
#include "kvtoll/profiler/trace_file.h"

namespace kvtoll::profiler {
namespace {

using Json = nlohmann::json;

// Times and numbers of a damaged file may be anything; what no trace can hold reads as 0.
constexpr double kLargest = 4e18;  // ns: half of what an int64 holds, so that differences fit

int64_t to_ns(const Json& event, const char* field) {
  const auto it = event.find(field);
  if (it == event.end() || !it->is_number()) return 0;
  const double ns = it->get<double>() * 1e3;
  return std::abs(ns) < kLargest / 4 ? std::llround(ns) : 0;
}

int64_t number(const Json& args, const char* field, int64_t fallback) {
  const auto it = args.find(field);
  if (it == args.end() || !it->is_number()) return fallback;
  if (it->is_number_integer()) return it->get<int64_t>();
  const double value = it->get<double>();
  return std::abs(value) < kLargest ? static_cast<int64_t>(value) : fallback;
}

std::string text(const Json& event, const char* field) {
  const auto it = event.find(field);
  return it != event.end() && it->is_string() ? it->get<std::string>() : std::string();
}

uint64_t thread_of(const Json& event) {
  const auto it = event.find("tid");
  if (it == event.end()) return 0;
  return it->is_number_integer() ? it->get<uint64_t>() : std::hash<std::string>{}(it->dump());
}

// Operators that only describe tensors: no work of their own, and often the only children of one
// that does.
bool describes_tensors(std::string_view op) {
  static constexpr std::string_view kOps[] = {"aten::as_strided",
                                              "aten::view",
                                              "aten::_unsafe_view",
                                              "aten::alias",
                                              "aten::empty",
                                              "aten::empty_strided",
                                              "aten::empty_like",
                                              "aten::resolve_conj",
                                              "aten::resolve_neg",
                                              "aten::result_type",
                                              "aten::lift_fresh",
                                              "aten::detach",
                                              "aten::detach_",
                                              "detach",
                                              "detach_",
                                              "aten::to",
                                              "aten::reshape",
                                              "aten::_reshape_alias",
                                              "aten::unsqueeze",
                                              "aten::squeeze",
                                              "aten::expand",
                                              "aten::slice",
                                              "aten::select",
                                              "aten::transpose",
                                              "aten::t",
                                              "aten::permute",
                                              "aten::resize_",
                                              "aten::dropout",
                                              "aten::split",
                                              "aten::chunk",
                                              "aten::unbind",
                                              "aten::narrow",
                                              "aten::item",
                                              "aten::is_nonzero",
                                              "aten::new_empty",
                                              "aten::scalar_tensor"};
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

struct LaunchCall {
  uint64_t thread = 0;
  int64_t time_ns = 0;
};

class Reader {
 public:
  explicit Reader(const TraceFileOptions& options) : options_(options) {}

  void event(const Json& e) {
    if (text(e, "ph") != "X") return;
    const std::string category = text(e, "cat");
    if (category == "kernel" || category == "gpu_memcpy" || category == "gpu_memset")
      return device_event(e, category != "kernel");
    if (category == "cuda_runtime" || category == "cuda_driver") return api_event(e);
    if (category == "cpu_op" || category == "python_function" || category == "user_annotation")
      return host_event(e, category);
  }

  TraceData finish() {
    std::sort(trace_.steps.begin(), trace_.steps.end(),
              [](const StepRecord& a, const StepRecord& b) { return a.start_ns < b.start_ns; });
    if (trace_.kernels.empty()) take_operators();
    std::vector<HostLaunch> launches;
    for (size_t i = 0; i < trace_.kernels.size(); ++i) {
      const auto call = calls_.find(correlations_[i]);
      if (call == calls_.end()) continue;
      launches.push_back({call->second.thread, call->second.time_ns, i});
      trace_.kernels[i].step = step_at(trace_.steps, call->second.time_ns);
    }
    set_contexts(std::move(frames_), std::move(launches), trace_);
    return std::move(trace_);
  }

 private:
  std::string_view name_of(const Json& e) { return trace_.names->intern(text(e, "name")); }

  void device_event(const Json& e, bool moves_memory) {
    const Json args = e.value("args", Json::object());
    KernelRecord k;
    k.name = name_of(e);
    k.start_ns = to_ns(e, "ts");
    k.end_ns = k.start_ns + to_ns(e, "dur");
    k.stream = static_cast<uint32_t>(number(args, "stream", 0));
    if (moves_memory) k.declared_bytes = number(args, "bytes", -1);
    trace_.kernels.push_back(k);
    correlations_.push_back(number(args, "correlation", -1));
  }

  void api_event(const Json& e) {
    const Json args = e.value("args", Json::object());
    const int64_t start = to_ns(e, "ts");
    const uint64_t thread = thread_of(e);
    trace_.api.push_back(
        {name_of(e), start, start + to_ns(e, "dur"), static_cast<uint32_t>(thread)});
    calls_[number(args, "correlation", -2)] = {thread, start};
  }

  void host_event(const Json& e, const std::string& category) {
    HostFrame frame;
    frame.name = name_of(e);
    frame.thread = thread_of(e);
    frame.start_ns = to_ns(e, "ts");
    frame.end_ns = frame.start_ns + to_ns(e, "dur");
    if (category == "user_annotation" && frame.name.starts_with(options_.steps))
      trace_.steps.push_back({{trace::StepKind::kAppend, -1, 0}, frame.start_ns, frame.end_ns});
    if (category == "cpu_op") {
      set_shape(e, frame);
      operators_.push_back(frames_.size());
    }
    frames_.push_back(frame);
  }

  // The weight of aten::linear is [out, in]; that of aten::mm and aten::addmm is [in, out].
  static void set_shape(const Json& e, HostFrame& frame) {
    const bool linear = frame.name == "aten::linear";
    if (!linear && frame.name != "aten::mm" && frame.name != "aten::addmm") return;
    const auto args = e.find("args");
    if (args == e.end() || !args->contains("Input Dims")) return;
    const Json& dims = (*args)["Input Dims"];
    const size_t at = frame.name == "aten::addmm" ? 2 : 1;
    if (!dims.is_array() || dims.size() <= at || !dims[at].is_array() || dims[at].size() != 2 ||
        !dims[at][0].is_number_integer() || !dims[at][1].is_number_integer())
      return;
    frame.in = dims[at][linear ? 1 : 0].get<int64_t>();
    frame.out = dims[at][linear ? 0 : 1].get<int64_t>();
  }

  // A trace without a GPU: the operators that call no other working operator are the kernels.
  void take_operators() {
    std::vector<HostFrame> ops;
    for (const size_t i : operators_)
      if (!describes_tensors(frames_[i].name)) ops.push_back(frames_[i]);
    std::sort(ops.begin(), ops.end(), [](const HostFrame& a, const HostFrame& b) {
      if (a.thread != b.thread) return a.thread < b.thread;
      return a.start_ns != b.start_ns ? a.start_ns < b.start_ns : a.end_ns > b.end_ns;
    });
    for (size_t i = 0; i < ops.size(); ++i) {
      const bool leaf = i + 1 == ops.size() || ops[i + 1].thread != ops[i].thread ||
                        ops[i + 1].start_ns >= ops[i].end_ns;
      if (!leaf) continue;
      const auto id = static_cast<int64_t>(trace_.kernels.size());
      trace_.kernels.push_back(
          {.name = ops[i].name, .start_ns = ops[i].start_ns, .end_ns = ops[i].end_ns});
      correlations_.push_back(id);
      calls_[id] = {ops[i].thread, ops[i].start_ns};
    }
    if (!trace_.kernels.empty())
      trace_.notes.push_back(
          "no GPU kernels in the trace: the innermost operators stand for "
          "kernels, the framework between them is idle");
  }

  const TraceFileOptions& options_;
  TraceData trace_;
  std::vector<int64_t> correlations_;  // per kernel
  std::unordered_map<int64_t, LaunchCall> calls_;
  std::vector<HostFrame> frames_;
  std::vector<size_t> operators_;  // indices into frames_
};

}  // namespace

Result<TraceFile> read_torch_trace(const std::string& json, const std::filesystem::path& path,
                                   const TraceFileOptions& options) {
  Reader reader(options);
  TraceFile file;
  file.tool = "pytorch";
  // The objects in the list of events (or of devices) are handled one by one and thrown away. The
  // format allows a bare list, too.
  const size_t first = json.find_first_not_of(" \t\r\n");
  const int event_depth = first != std::string::npos && json[first] == '[' ? 1 : 2;
  const auto each = [&](int depth, Json::parse_event_t kind, Json& value) {
    if (kind != Json::parse_event_t::object_end || depth != event_depth) return true;
    if (value.contains("ph")) {
      reader.event(value);
    } else if (file.device.empty()) {
      file.device = text(value, "name");
    }
    return false;
  };
  try {
    [[maybe_unused]] const Json rest = Json::parse(json, each);
  } catch (const Json::exception& e) {
    return input_error("{}: not a whole Chrome trace ({}); export it again", path.string(),
                       e.what());
  }
  file.trace = reader.finish();
  if (file.trace.kernels.empty())
    return input_error(
        "{}: no kernel and no cpu_op events; record with torch.profiler.profile("
        "activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) and "
        "export_chrome_trace",
        path.string());
  return file;
}

}  // namespace kvtoll::profiler
