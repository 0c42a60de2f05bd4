// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From a prompt to text, whole: opens model, tokenizer and backend, reserves the cache, generates,
// and says how fast. What `kvtoll generate` calls. Example: TextJob job{.model = "m.gguf", .prompt
// = "Hello"};  KVTOLL_TRY(auto out, run_text_job(job, print, interrupted));
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/engine/session.h"

namespace kvtoll {

struct TextJob {
  std::string model;
  std::string prompt;
  std::vector<int32_t>
      token_ids;     // instead of a prompt; then ids are printed and nothing stops early
  bool raw = false;  // the prompt as it is: no chat format, no bos
  std::string kv;    // KV spec; empty: exact in the compute dtype
  int residual = 128;
  std::string backend = "auto";
  std::optional<DType> dtype;  // empty: the checkpoint's own
  BackendOptions options;      // weights and cache are set from dtype
  int max_new_tokens = 128;
  Sampling sampling;
  std::filesystem::path logits_file;  // written when not empty: logits [steps, vocab], ids [steps]
};

struct TextOutcome {
  Generation generation;
  bool interrupted = false;
  size_t prompt_tokens = 0;
  Nanoseconds prefill;  // to the first token
  Nanoseconds decode;   // the other tokens
  Bytes decode_bytes;   // declared by the decode steps' operations
  BackendInfo info;
  double decode_tok_s() const;
};

// on_text gets each piece of text as it becomes complete; stop() is asked after every token.
// Errors: those of the parts; kUsage for an empty prompt.
Result<TextOutcome> run_text_job(const TextJob& job,
                                 const std::function<void(std::string_view)>& on_text,
                                 const std::function<bool()>& stop);

}  // namespace kvtoll
