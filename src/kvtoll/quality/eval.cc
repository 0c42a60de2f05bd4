// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/core/text_hash.h"
#include "kvtoll/engine/session.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/quality/eval_questions.h"

namespace kvtoll {
namespace {

// log softmax of the four letters' logits over the whole vocabulary.
std::vector<double> letter_logp(std::span<const float> logits, const std::vector<int32_t>& tokens) {
  double top = -HUGE_VAL, sum = 0.0;
  for (float x : logits) top = std::max(top, static_cast<double>(x));
  for (float x : logits) sum += std::exp(static_cast<double>(x) - top);
  std::vector<double> out;
  for (int32_t t : tokens)
    out.push_back(static_cast<double>(logits[static_cast<size_t>(t)]) - top - std::log(sum));
  return out;
}

class Runner {
 public:
  Runner(const EvalConfig& config, const EvalHooks& hooks, EvalModel& model)
      : config_(config), hooks_(hooks), model_(model) {}

  Result<EvalSummary> run() {
    KVTOLL_TRY_VOID(model_.open_files(config_));
    KVTOLL_TRY(list_, make_asks(config_, model_.tokenizer()));
    if (hooks_.chosen) hooks_.chosen(list_.ids);
    KVTOLL_TRY(const KvPolicy policy, KvPolicy::parse(config_.kv));
    KVTOLL_TRY(const auto layers, policy.resolve(model_.checkpoint().config().layers));
    quantized_ = std::ranges::any_of(layers, &KvPair::quantized);
    KVTOLL_TRY_VOID(model_.open_backend(config_));
    summary_.file = config_.results / "accuracy" / eval_file_name(config_);
    partial_ = summary_.file.string() + "l.partial";
    KVTOLL_TRY(const bool finished, take_over());
    if (finished) return std::move(summary_);
    if (auto ready = reserve(layers); !ready) return refused(ready.error());
    describe(config_, model_.backend().info(), model_.dtype(), list_.style, summary_.record);
    KVTOLL_TRY_VOID(start_checkpoint(partial_, key()));
    if (auto asked = ask_all(); !asked) {
      if (asked.error().kind == ErrorKind::kOutOfMemory ||
          asked.error().kind == ErrorKind::kUnsupported)
        return refused(asked.error());
      return tl::unexpected<Error>(asked.error());
    }
    return finish("ok", "");
  }

 private:
  // Everything that an answer depends on.
  std::string key() const {
    std::string text = fmt::format("{}|{}|{}|{}|{}", summary_.file.filename().string(),
                                   config_.model + "|" + config_.tokenizer, list_.style,
                                   dtype_name(model_.dtype()), config_.data.string());
    for (const Ask& ask : list_.asks) text += "|" + ask.answer.id + ask.answer.prompt_hash;
    return text_hash(text);
  }

  // Nothing is left to do: all answers are there, the format refuses, or as many sequences at once
  // did not fit before.
  bool is_result(const EvalRecord& old) const {
    if (old.status == "unsupported") return true;
    if (old.status == "oom") return config_field(old, "batch") == std::to_string(config_.batch);
    return old.status == "ok" && old.answers.size() == list_.asks.size();
  }

  // Answers of earlier runs. True if nothing is left to do.
  Result<bool> take_over() {
    EvalRecord& record = summary_.record;
    if (config_.force) {
      std::filesystem::remove(summary_.file);
      std::filesystem::remove(partial_);
    }
    std::set<std::pair<std::string, int>> wanted;
    for (const Ask& ask : list_.asks) wanted.insert({ask.answer.id, ask.answer.sample});
    if (std::filesystem::exists(summary_.file)) {
      KVTOLL_TRY(EvalRecord old, read_eval_record(summary_.file));
      if (old.ids == list_.ids && is_result(old)) {
        record = std::move(old);
        summary_.was_finished = true;
        return true;
      }
    }
    KVTOLL_TRY(Checkpointed left, open_checkpoint_file(partial_, key()));
    for (AnswerRecord& answer : left.answers)
      if (wanted.erase({answer.id, answer.sample}) > 0) {
        correct_ += answer.grade.lenient;
        record.answers.push_back(std::move(answer));
      }
    record.ids = list_.ids;
    record.samples = config_.samples;
    record.elapsed_ns = elapsed_before_ = left.elapsed_ns;
    summary_.resumed = static_cast<int64_t>(record.answers.size());
    std::erase_if(list_.asks, [&](const Ask& ask) {
      return wanted.count({ask.answer.id, ask.answer.sample}) == 0;
    });
    return false;
  }

  Result<void> reserve(const std::vector<KvPair>& layers) {
    CacheRequest request{.layers = layers, .residual_length = config_.residual};
    for (const Ask& ask : list_.asks)
      request.max_prompt = std::max(request.max_prompt, static_cast<int64_t>(ask.prompt.size()));
    request.max_tokens = request.max_prompt + config_.max_new_tokens;
    request.slots =
        one_token()
            ? 1
            : std::min<int>(config_.batch, std::max<int>(1, static_cast<int>(list_.asks.size())));
    if (prompt_alone_decides()) {
      KVTOLL_TRY_VOID(check_prompts(layers));
      for (KvPair& pair : request.layers)
        for (KvFormat* format : {&pair.key, &pair.value})
          if (format->quantized())
            *format = {.name = std::string(dtype_name(model_.dtype())), .dtype = model_.dtype()};
    }
    const int limit = model_.checkpoint().config().max_position;
    if (limit > 0 && request.max_tokens > limit)
      return input_error(
          "prompts of up to {} and {} new tokens exceed the model's {} positions: "
          "lower --max-new-tokens",
          request.max_prompt, config_.max_new_tokens, limit);
    return model_.backend().reserve(request);
  }

  bool one_token() const { return config_.max_new_tokens == 1; }

  // The answer is the first token, and nothing that a format stores is read before it: an exact
  // cache gives the same answers, and prompts that begin alike share that beginning.
  bool prompt_alone_decides() const {
    return one_token() && config_.options.prefill == Prefill::kExact;
  }

  // What the format would refuse, it refuses though nothing is stored.
  Result<void> check_prompts(const std::vector<KvPair>& layers) const {
    const ModelConfig& c = model_.checkpoint().config();
    for (const KvPair& pair : layers)
      for (const KvFormat* format : {&pair.key, &pair.value})
        for (const Ask& ask : list_.asks) {
          const auto tokens = static_cast<int64_t>(ask.prompt.size());
          if (format->quantized())
            KVTOLL_TRY_VOID(kv_group_layout(*format, {c.kv_heads, tokens, c.head_dim}));
        }
    return {};
  }

  Result<void> ask_all() {
    std::vector<std::vector<int32_t>> prompts;
    GenerateOptions options{.max_new_tokens = config_.max_new_tokens,
                            .sampling = config_.sampling,
                            .share_prefixes = prompt_alone_decides()};
    for (const Ask& ask : list_.asks) {
      prompts.push_back(ask.prompt);
      options.streams.push_back(ask.stream);
    }
    options.stop_tokens = model_.tokenizer().eos();
    const auto& more = model_.checkpoint().config().eos_tokens;
    options.stop_tokens.insert(options.stop_tokens.end(), more.begin(), more.end());
    options.keep_going = [this](size_t index, const Generation& so_far) {
      const Ask& ask = list_.asks[index];
      const bool room = ask.max_new_tokens == 0 ||
                        static_cast<int64_t>(so_far.tokens.size()) < ask.max_new_tokens;
      return room && !(hooks_.stop && hooks_.stop()) && !hit_stop_text(ask, so_far);
    };
    std::vector<float> first;
    if (!list_.letters.empty())
      options.on_logits = [&](std::span<const float> row) { first.assign(row.begin(), row.end()); };
    start_ = now();
    Result<void> written;
    auto done =
        Session(model_.backend())
            .generate_queue(prompts, options, [&](size_t index, const Generation& generation) {
              if (hooks_.stop && hooks_.stop()) return false;  // cut off by the user: not an answer
              written = record_answer(list_.asks[index], generation, first);
              return written.has_value();
            });
    if (!written) return written;
    if (hooks_.stop && hooks_.stop() && summary_.record.answers.size() < total())
      return make_error(ErrorKind::kInterrupted,
                        "interrupted after {} of {} answers; run the same command to go on",
                        summary_.record.answers.size(), total());
    return done;
  }

  size_t total() const { return list_.ids.size() * static_cast<size_t>(config_.samples); }

  bool hit_stop_text(const Ask& ask, const Generation& so_far) const {
    if (ask.stop.empty()) return false;
    const size_t tail = std::min<size_t>(so_far.tokens.size(), 8);
    const std::vector<int32_t> last(so_far.tokens.end() - static_cast<ptrdiff_t>(tail),
                                    so_far.tokens.end());
    const std::string text = model_.tokenizer().decode(last, true);
    // A reply that only begins with an empty line is not over.
    const size_t at = text.find(ask.stop);
    return at != text.npos && (tail < so_far.tokens.size() || text.find_first_not_of(" \n") < at);
  }

  Result<void> record_answer(const Ask& ask, const Generation& generation,
                             const std::vector<float>& logits) {
    AnswerRecord answer = ask.answer;
    std::vector<int32_t> tokens = generation.tokens;
    answer.new_tokens = static_cast<int64_t>(tokens.size());
    answer.stopped =
        generation.stopped && (ask.max_new_tokens == 0 || answer.new_tokens < ask.max_new_tokens);
    answer.output = model_.tokenizer().decode(tokens, true);
    if (!ask.stop.empty()) {
      const size_t from = std::min(answer.output.find_first_not_of(" \n"), answer.output.size());
      answer.output = answer.output.substr(0, answer.output.find(ask.stop, from));
    }
    // The first token follows from the prompt's own attention: exact unless the prefill reads back.
    const bool first_too = config_.options.prefill == Prefill::kQuantized;
    if (quantized_) answer.quantized_tokens = answer.new_tokens - (first_too ? 0 : 1);
    if (!list_.letters.empty()) {
      answer.letter_logp = letter_logp(logits, list_.letters);
      const auto best = std::max_element(answer.letter_logp.begin(), answer.letter_logp.end());
      answer.output = std::string(1, static_cast<char>('A' + (best - answer.letter_logp.begin())));
    }
    grade_answer(config_.task, config_.mode, answer);
    summary_.new_tokens += answer.new_tokens;
    summary_.elapsed = now() - start_;
    summary_.record.elapsed_ns = elapsed_before_ + summary_.elapsed.value;
    KVTOLL_TRY_VOID(append_answer(partial_, answer, summary_.record.elapsed_ns));
    correct_ += answer.grade.lenient;
    summary_.record.answers.push_back(std::move(answer));
    if (hooks_.progress)
      hooks_.progress({static_cast<int64_t>(summary_.record.answers.size()),
                       static_cast<int64_t>(total()), correct_, summary_.new_tokens,
                       summary_.elapsed});
    return {};
  }

  // Out of memory or a refused combination: a result of its own.
  Result<EvalSummary> refused(const Error& error) {
    if (error.kind != ErrorKind::kOutOfMemory && error.kind != ErrorKind::kUnsupported)
      return tl::unexpected<Error>(error);
    describe(config_, model_.backend().info(), model_.dtype(), list_.style, summary_.record);
    return finish(error.kind == ErrorKind::kOutOfMemory ? "oom" : "unsupported", error.message);
  }

  // In the order of the questions, whatever finished first.
  Result<EvalSummary> finish(const std::string& status, const std::string& reason) {
    EvalRecord& record = summary_.record;
    std::map<std::string, size_t> place;
    for (size_t i = 0; i < record.ids.size(); ++i) place[record.ids[i]] = i;
    std::sort(record.answers.begin(), record.answers.end(),
              [&](const AnswerRecord& a, const AnswerRecord& b) {
                return std::pair(place[a.id], a.sample) < std::pair(place[b.id], b.sample);
              });
    record.status = status;
    record.reason = reason;
    KVTOLL_TRY_VOID(write_file_atomic(summary_.file, eval_record_text(record)));
    if (status != "oom") std::filesystem::remove(partial_);  // fewer at once may go on from it
    return std::move(summary_);
  }

  const EvalConfig& config_;
  const EvalHooks& hooks_;
  EvalModel& model_;
  AskList list_;
  bool quantized_ = false;
  std::filesystem::path partial_;
  EvalSummary summary_;
  int64_t elapsed_before_ = 0, correct_ = 0;
  Nanoseconds start_;
};

}  // namespace

Result<EvalSummary> run_eval(const EvalConfig& config, const EvalHooks& hooks, EvalModel& model) {
  KVTOLL_TRY(const EvalConfig complete, complete_config(config));
  return Runner(complete, hooks, model).run();
}

Result<EvalSummary> run_eval(const EvalConfig& config, const EvalHooks& hooks) {
  EvalModel model;
  return run_eval(config, hooks, model);
}

}  // namespace kvtoll
