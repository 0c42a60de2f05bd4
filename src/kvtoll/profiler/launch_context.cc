// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/launch_context.h"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>

#include "kvtoll/profiler/kernel_categories.h"

namespace kvtoll::profiler {
namespace {

struct Shape {
  int64_t in = 0, out = 0;
  auto operator<=>(const Shape&) const = default;
};

// Which layer a linear of a given shape is, from all the shapes of the trace: the width that most
// linears read is the hidden size; of those that come back to it the widest is the feed-forward's.
class LayerShapes {
 public:
  explicit LayerShapes(const std::vector<Shape>& shapes) {
    std::map<int64_t, int64_t> readers;
    for (const Shape& s : shapes)
      if (s.in > 0) ++readers[s.in];
    int64_t most = 0;
    for (const auto& [in, count] : readers)
      if (count > most) hidden_ = in, most = count;
    for (const Shape& s : shapes) {
      if (s.in > 0 && s.out == hidden_ && s.in != hidden_) ffn_ = std::max(ffn_, s.in);
      if (s.in == hidden_) widest_ = std::max(widest_, s.out);
    }
  }

  // Empty where the shapes do not tell.
  std::string_view name(const Shape& s) const {
    if (ffn_ == 0 || s.in == 0) return {};
    if (s.in == hidden_ && (s.out == ffn_ || s.out == 2 * ffn_)) return "shape:gate_up";
    if (s.in == ffn_ && s.out == hidden_) return "shape:down_proj";
    if (s.in == hidden_ && s.out == widest_ && widest_ > 2 * ffn_) return "shape:lm_head";
    if (s.in == hidden_ && s.out == widest_ && widest_ > ffn_ && s.out > 3 * hidden_)
      return "shape:lm_head";
    if (s.in == hidden_ || s.out == hidden_) return "shape:qkv";
    return {};
  }

 private:
  int64_t hidden_ = 0, ffn_ = 0, widest_ = 0;
};

class Sweep {
 public:
  Sweep(std::vector<HostFrame>& frames, TraceData& trace) : frames_(frames), trace_(trace) {
    std::sort(frames_.begin(), frames_.end(), [](const HostFrame& a, const HostFrame& b) {
      if (a.thread != b.thread) return a.thread < b.thread;
      return a.start_ns != b.start_ns ? a.start_ns < b.start_ns : a.end_ns > b.end_ns;
    });
    shapes_.resize(trace.kernels.size());
  }

  void visit(const HostLaunch& launch) {
    if (launch.thread != thread_) {
      open_.clear();
      thread_ = launch.thread;
      while (next_ < frames_.size() && frames_[next_].thread < thread_) ++next_;
    }
    for (; next_ < frames_.size() && frames_[next_].thread == thread_ &&
           frames_[next_].start_ns <= launch.time_ns;
         ++next_) {
      close_before(frames_[next_].start_ns);
      open_.push_back(&frames_[next_]);
    }
    close_before(launch.time_ns);
    std::string context;
    for (const HostFrame* frame : open_) {
      if (known(frame->name)) {
        if (!context.empty()) context += '/';
        context += frame->name;
      }
      if (shapes_[launch.kernel].in == 0) shapes_[launch.kernel] = {frame->in, frame->out};
    }
    contexts_[launch.kernel] = std::move(context);
  }

  void finish() {
    const LayerShapes layers(shapes_);
    for (auto& [kernel, context] : contexts_) {
      const std::string_view shape = layers.name(shapes_[kernel]);
      if (!shape.empty() && !context.empty()) context += '/';
      context += shape;
      if (!context.empty()) trace_.kernels[kernel].context = trace_.names->intern(context);
    }
  }

 private:
  void close_before(int64_t time) {
    while (!open_.empty() && open_.back()->end_ns < time) open_.pop_back();
  }
  bool known(std::string_view name) {
    auto [it, is_new] = known_.try_emplace(name, false);
    if (is_new) it->second = is_context(name);
    return it->second;
  }

  std::vector<HostFrame>& frames_;
  TraceData& trace_;
  std::vector<Shape> shapes_;  // per kernel
  std::unordered_map<size_t, std::string> contexts_;
  std::unordered_map<std::string_view, bool> known_;
  std::vector<const HostFrame*> open_;
  uint64_t thread_ = ~uint64_t{0};
  size_t next_ = 0;
};

}  // namespace

void set_contexts(std::vector<HostFrame> frames, std::vector<HostLaunch> launches,
                  TraceData& trace) {
  std::sort(launches.begin(), launches.end(), [](const HostLaunch& a, const HostLaunch& b) {
    return a.thread != b.thread ? a.thread < b.thread : a.time_ns < b.time_ns;
  });
  Sweep sweep(frames, trace);
  for (const HostLaunch& launch : launches) sweep.visit(launch);
  sweep.finish();
}

}  // namespace kvtoll::profiler
