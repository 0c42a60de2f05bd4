// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a step launches, for core/trace.h: eager launches are marked as they happen; a captured
// step's launches are noted once and told again at each replay, with the bytes of that moment.
// Example: log.run({"rope_append_kernel", bytes, layer}, [&] { launch_rope_append(...); });
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtoll/core/trace.h"

namespace kvtoll::cuda {

// Bytes of a launch: a fixed part and parts that grow with the cached tokens of the step.
struct OpBytes {
  Bytes fixed;
  Bytes per_token{};     // times the visible positions, new ones included, over all rows
  Bytes per_stored{};    // times the quantized positions over all rows
  Bytes per_residual{};  // times the exact positions outside the store, new ones not included
};

struct StepTokens {
  int64_t visible = 0, stored = 0, residual = 0;
};

inline Bytes total_bytes(const OpBytes& b, const StepTokens& t) {
  return b.fixed + b.per_token * t.visible + b.per_stored * t.stored + b.per_residual * t.residual;
}

struct OpNote {
  std::string_view kernel;
  OpBytes bytes;
  int layer = -1;
};

class OpLog {
 public:
  template <class Launch>
  void run(const OpNote& note, const Launch& launch) {
    if (notes_) {
      notes_->push_back(note);
      launch();
      return;
    }
    const trace::Span span({note.kernel, total_bytes(note.bytes, tokens_), note.layer});
    launch();
  }

  void set_tokens(const StepTokens& tokens) { tokens_ = tokens; }
  void start_noting(std::vector<OpNote>* notes) { notes_ = notes; }
  void stop_noting() { notes_ = nullptr; }
  void replay(const std::vector<OpNote>& notes) const {
    trace::Sink* sink = trace::sink();
    if (!sink) return;
    for (const OpNote& note : notes)
      sink->replayed_op({note.kernel, total_bytes(note.bytes, tokens_), note.layer});
  }

 private:
  StepTokens tokens_;
  std::vector<OpNote>* notes_ = nullptr;
};

}  // namespace kvtoll::cuda
