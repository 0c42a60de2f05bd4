// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/text_job.h"

#include <algorithm>
#include <array>

#include "kvtoll/core/safetensors.h"
#include "kvtoll/model/chat.h"
#include "kvtoll/model/tokenizer.h"

namespace kvtoll {
namespace {

// Adds up what the decode steps declare.
class ByteMeter final : public trace::Sink {
 public:
  ByteMeter() { trace::install(this); }
  ~ByteMeter() override { trace::install(nullptr); }
  Bytes decode() const { return decode_; }
  void begin_step(const trace::Step& step) override {
    counts_ = step.kind != trace::StepKind::kPrefill;
  }
  void end_step() override {}
  void begin_op(const trace::Op& op) override {
    if (counts_) decode_ += op.declared;
  }
  void end_op() override {}
  void replayed_op(const trace::Op& op) override { begin_op(op); }

 private:
  bool counts_ = false;
  Bytes decode_{};
};

Result<std::vector<int32_t>> prompt_tokens(const TextJob& job, const Tokenizer* tokenizer) {
  if (!job.token_ids.empty()) return job.token_ids;
  std::string text = job.prompt;
  if (!job.raw && !tokenizer->chat_template().empty()) {
    const std::string& chat = tokenizer->chat_template();
    KVTOLL_TRY(const ChatFormat format, recognize_chat_format(chat, job.model));
    text = render_chat(format, chat, {{"user", job.prompt}});
  }
  std::vector<int32_t> ids = tokenizer->encode(text);
  if (ids.empty())
    return usage_error("the prompt is empty: give --prompt TEXT or --token-ids 1,2,3");
  return ids;
}

Result<std::unique_ptr<Backend>> prepare_backend(const TextJob& job,
                                                 std::shared_ptr<const Checkpoint> checkpoint,
                                                 size_t prompt) {
  BackendOptions options = job.options;
  options.weights = options.cache = job.dtype.value_or(checkpoint->dtype());
  KVTOLL_TRY(const KvPolicy policy,
             KvPolicy::parse(job.kv.empty() ? dtype_name(options.cache) : job.kv));
  CacheRequest request{.residual_length = job.residual};
  request.max_prompt = static_cast<int64_t>(prompt);
  request.max_tokens = request.max_prompt + job.max_new_tokens;
  KVTOLL_TRY(request.layers, policy.resolve(checkpoint->config().layers));
  KVTOLL_TRY(auto backend, make_backend(job.backend, checkpoint, options));
  KVTOLL_TRY_VOID(backend->reserve(request));
  return backend;
}

Result<void> write_logits(const TextJob& job, const std::vector<float>& logits,
                          const std::vector<int32_t>& ids) {
  const int64_t steps = static_cast<int64_t>(ids.size());
  const int64_t vocab = steps > 0 ? static_cast<int64_t>(logits.size()) / steps : 0;
  const std::array<NamedTensor, 2> tensors = {
      NamedTensor{"logits", {logits.data(), DType::kF32, Shape{steps, vocab}}},
      NamedTensor{"ids", {ids.data(), DType::kI32, Shape{steps}}}};
  return write_safetensors(job.logits_file, tensors);
}

std::vector<int32_t> stop_tokens(const Tokenizer& tokenizer, const ModelConfig& config) {
  std::vector<int32_t> stops = tokenizer.eos();
  stops.insert(stops.end(), config.eos_tokens.begin(), config.eos_tokens.end());
  return stops;
}

}  // namespace

double TextOutcome::decode_tok_s() const {
  const size_t steps = generation.tokens.empty() ? 0 : generation.tokens.size() - 1;
  return decode.value > 0 ? static_cast<double>(steps) * 1e9 / static_cast<double>(decode.value)
                          : 0.0;
}

Result<TextOutcome> run_text_job(const TextJob& job,
                                 const std::function<void(std::string_view)>& on_text,
                                 const std::function<bool()>& stop) {
  KVTOLL_TRY(auto checkpoint, open_checkpoint(job.model));
  KVTOLL_TRY_VOID(require_weights(*checkpoint));
  std::shared_ptr<const Tokenizer> tokenizer;
  if (job.token_ids.empty()) {
    KVTOLL_TRY(tokenizer, open_tokenizer(job.model));
  }
  KVTOLL_TRY(const auto prompt, prompt_tokens(job, tokenizer.get()));
  KVTOLL_TRY(auto backend, prepare_backend(job, checkpoint, prompt.size()));

  TextOutcome outcome{.prompt_tokens = prompt.size(), .info = backend->info()};
  std::vector<float> logits;
  std::optional<StreamDecoder> decoder;
  GenerateOptions options{.max_new_tokens = job.max_new_tokens, .sampling = job.sampling};
  if (tokenizer) {
    decoder.emplace(tokenizer);
    options.stop_tokens = stop_tokens(*tokenizer, checkpoint->config());
  }
  if (!job.logits_file.empty())
    options.on_logits = [&](std::span<const float> row) {
      logits.insert(logits.end(), row.begin(), row.end());
    };
  Nanoseconds first{};
  options.on_token = [&](int32_t token) {
    if (first.value == 0) first = now();
    const bool last = std::ranges::find(options.stop_tokens, token) != options.stop_tokens.end();
    if (!last) on_text(decoder ? decoder->push(token) : fmt::format("{} ", token));
    outcome.interrupted = stop();
    return !outcome.interrupted;
  };
  const ByteMeter meter;
  const Nanoseconds begin = now();
  KVTOLL_TRY(outcome.generation, Session(*backend).generate(prompt, options));
  outcome.decode = now() - first;
  outcome.prefill = first - begin;
  outcome.decode_bytes = meter.decode();
  if (decoder) on_text(decoder->finish());
  if (!job.logits_file.empty())
    KVTOLL_TRY_VOID(write_logits(job, logits, outcome.generation.tokens));
  return outcome;
}

}  // namespace kvtoll
