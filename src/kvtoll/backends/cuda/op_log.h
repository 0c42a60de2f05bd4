// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a step launches, for core/trace.h: eager launches are marked as they happen; a captured
// step's launches are noted once and told again at each replay, with the bytes of that moment.
// Example: log.run({"rope_append_kernel", bytes, layer}, [&] { launch_rope_append(...); });
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtoll/core/trace.h"
#include "kvtoll/device/cuda_error.h"

namespace kvtoll::cuda {

// Bytes of a launch: a fixed part, and one that grows with the positions that attention sees in the
// step, new ones included, over all rows.
struct OpBytes {
  Bytes fixed;
  Bytes per_token{};
};

struct OpNote {
  std::string_view kernel;
  OpBytes bytes;
  int layer = -1;
};

// A launch that fails outside a capture is kept for end_step(), and nothing more is launched: the
// operations themselves cannot tell. Inside a capture the exception goes on and ends it.
class OpLog {
 public:
  template <class Launch>
  void run(const OpNote& note, const Launch& launch) {
    if (notes_) {
      notes_->push_back(note);
      launch();
      return;
    }
    if (failure_) return;
    const trace::Span span({note.kernel, bytes_of(note), note.layer});
    try {
      launch();
    } catch (const CudaError& error) {
      failure_ = error.what();
    }
  }
  // The first failed launch since the last call, if there was one.
  std::optional<std::string> take_failure() { return std::exchange(failure_, std::nullopt); }

  void set_visible(int64_t tokens) { visible_ = tokens; }
  void start_noting(std::vector<OpNote>* notes) { notes_ = notes; }
  void stop_noting() { notes_ = nullptr; }
  void replay(const std::vector<OpNote>& notes) const {
    trace::Sink* sink = trace::sink();
    if (!sink) return;
    for (const OpNote& note : notes) sink->replayed_op({note.kernel, bytes_of(note), note.layer});
  }

 private:
  Bytes bytes_of(const OpNote& note) const {
    return note.bytes.fixed + note.bytes.per_token * visible_;
  }
  int64_t visible_ = 0;
  std::optional<std::string> failure_;
  std::vector<OpNote>* notes_ = nullptr;
};

}  // namespace kvtoll::cuda
