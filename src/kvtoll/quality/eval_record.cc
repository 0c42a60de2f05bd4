// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval_record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "kvtoll/core/build_info.h"
#include "kvtoll/core/files.h"
#include "kvtoll/quality/mmlu_categories.h"

namespace kvtoll {
namespace {

using nlohmann::ordered_json;
using json = ordered_json;

std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

json answer_json(const AnswerRecord& a) {
  json out = {
      {"id", a.id},
      {"sample", a.sample},
      {"group", a.group},
      {"level", a.level},
      {"gold", a.gold},
      {"extracted", a.extracted},
      {"method", a.method},
      {"verdict",
       {{"strict", a.grade.strict}, {"prm800k", a.grade.prm800k}, {"lenient", a.grade.lenient}}},
      {"truncated", a.truncated},
      {"stopped", a.stopped},
      {"thinking", a.thinking},
      {"prompt_hash", a.prompt_hash},
      {"prompt_tokens", a.prompt_tokens},
      {"new_tokens", a.new_tokens},
      {"quantized_tokens", a.quantized_tokens},
      {"output", a.output}};
  if (!a.letter_logp.empty()) out["letter_logp"] = a.letter_logp;
  return out;
}

// Throws nlohmann's exceptions on a wrong type; callers turn them into errors.
AnswerRecord read_answer(const json& in) {
  AnswerRecord a;
  a.id = in.at("id");
  a.sample = in.value("sample", 0);
  a.group = in.value("group", "");
  a.level = in.value("level", 0);
  a.gold = in.at("gold");
  a.extracted = in.value("extracted", "");
  a.method = in.value("method", "");
  const json& verdict = in.at("verdict");
  a.grade = {verdict.at("strict"), verdict.at("prm800k"), verdict.at("lenient")};
  a.truncated = in.value("truncated", false);
  a.stopped = in.value("stopped", true);
  a.thinking = in.value("thinking", false);
  a.prompt_hash = in.value("prompt_hash", "");
  a.prompt_tokens = in.value("prompt_tokens", int64_t{0});
  a.new_tokens = in.value("new_tokens", int64_t{0});
  a.quantized_tokens = in.value("quantized_tokens", int64_t{0});
  a.output = in.value("output", "");
  if (in.contains("letter_logp")) a.letter_logp = in.at("letter_logp").get<std::vector<double>>();
  return a;
}

json accuracy_json(const Accuracy& a) {
  return {{"correct", a.correct},
          {"total", a.total},
          {"truncated", a.truncated},
          {"value", a.value()},
          {"ci95", {a.ci95().low, a.ci95().high}}};
}

json accuracy_of(const EvalRecord& record) {
  if (!record.by_policy()) return accuracy_json(record.accuracy(GradePolicy::kLenient));
  json out;
  for (size_t i = 0; i < kGradePolicyNames.size(); ++i)
    out[std::string(kGradePolicyNames[i])] =
        accuracy_json(record.accuracy(static_cast<GradePolicy>(i)));
  return out;
}

// Correct and total by subject and by level, under the lenient policy.
json breakdown(const EvalRecord& record) {
  std::map<std::string, Accuracy> parts;
  for (const AnswerRecord& a : record.answers) {
    auto add = [&](const std::string& key) {
      Accuracy& part = parts[key];
      part.samples = std::max(1, record.samples);
      part.total += 1;
      part.correct += a.grade.lenient;
      part.truncated += a.truncated;
    };
    if (!a.group.empty()) add("group:" + a.group);
    if (const auto category = mmlu_category(a.group); record.task == "mmlu" && !category.empty())
      add("category:" + std::string(category));
    if (a.level > 0) add("level:" + std::to_string(a.level));
  }
  json out = json::object();
  double sum = 0.0;
  int groups = 0;
  for (const auto& [key, part] : parts) {
    out[key] = accuracy_json(part);
    if (key.starts_with("group:")) sum += part.value(), ++groups;
  }
  if (record.task == "mmlu" && groups > 0) out["macro"] = sum / groups;  // each subject alike
  return out;
}

json token_counts(const EvalRecord& record) {
  int64_t prompt = 0, generated = 0, quantized = 0;
  for (const AnswerRecord& a : record.answers)
    prompt += a.prompt_tokens, generated += a.new_tokens, quantized += a.quantized_tokens;
  return {{"prompt", prompt}, {"new", generated}, {"decided_by_quantized_values", quantized}};
}

}  // namespace

void describe(const EvalConfig& c, const BackendInfo& info, DType dtype, const std::string& style,
              EvalRecord& record) {
  record.task = c.task;
  record.mode = c.mode;
  record.config_json = dump({{"task", c.task},
                             {"mode", c.mode},
                             {"data", c.data.string()},
                             {"model", c.model_name},
                             {"model_source", c.model},
                             {"tokenizer", c.tokenizer},
                             {"kv", c.kv},
                             {"residual", c.residual},
                             {"prefill", prefill_name(c.options.prefill)},
                             {"prompt_style", style},
                             {"shots", c.shots},
                             {"limit", c.limit},
                             {"subset_seed", c.subset_seed},
                             {"max_new_tokens", c.max_new_tokens},
                             {"batch", c.batch},
                             {"samples", c.samples},
                             {"temperature", c.sampling.temperature},
                             {"top_p", c.sampling.top_p},
                             {"seed", c.sampling.seed},
                             {"backend", info.name},
                             {"attention", attention_name(c.options.attention)},
                             {"launch", launch_name(c.options.launch)},
                             {"dtype", dtype_name(dtype)},
                             {"attention_kernels", info.attention_kernels}},
                            -1);
  const BuildInfo& build = build_info();
  record.environment_json = dump({{"device", info.device},
                                  {"kvtoll_version", build.version},
                                  {"git_revision", build.git_revision},
                                  {"git_dirty", build.git_dirty},
                                  {"build_type", build.build_type},
                                  {"compiler", build.compiler},
                                  {"argv", c.argv}},
                                 -1);
}

Accuracy EvalRecord::accuracy(GradePolicy policy) const {
  Accuracy a{.samples = std::max(1, samples)};
  for (const AnswerRecord& answer : answers) {
    a.total += 1;
    a.correct += answer.grade.by(policy);
    a.truncated += answer.truncated;
  }
  return a;
}

std::string eval_record_text(const EvalRecord& record) {
  json out = {{"schema", kEvalSchema}, {"status", record.status}};
  if (!record.reason.empty()) out["reason"] = record.reason;
  out["config"] = json::parse(record.config_json, nullptr, false);
  out["environment"] = json::parse(record.environment_json, nullptr, false);
  out["accuracy"] = accuracy_of(record);
  out["breakdown"] = breakdown(record);
  out["tokens"] = token_counts(record);
  out["elapsed_ns"] = record.elapsed_ns;
  out["ids"] = record.ids;
  json questions = json::array();
  for (const AnswerRecord& a : record.answers) questions.push_back(answer_json(a));
  out["questions"] = std::move(questions);
  return dump(out, 1) + "\n";
}

Result<EvalRecord> read_eval_record(const std::filesystem::path& file) {
  KVTOLL_TRY(const std::string text, read_file(file));
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object() || in.value("schema", json()) != json(kEvalSchema))
    return input_error("{}: not a record of schema {}", file.string(), kEvalSchema);
  try {
    EvalRecord record;
    record.status = in.at("status");
    record.reason = in.value("reason", "");
    record.task = in.at("config").at("task");
    record.mode = in.at("config").value("mode", "");
    record.samples = in.at("config").value("samples", 1);
    record.config_json = dump(in.at("config"), -1);
    record.environment_json = dump(in.at("environment"), -1);
    record.elapsed_ns = in.value("elapsed_ns", int64_t{0});
    record.ids = in.at("ids").get<std::vector<std::string>>();
    for (const json& q : in.at("questions")) record.answers.push_back(read_answer(q));
    return record;
  } catch (const json::exception& error) {
    return input_error("{}: {}; the file is damaged: run the evaluation again", file.string(),
                       error.what());
  }
}

std::string config_field(const EvalRecord& record, const std::string& name) {
  const json config = json::parse(record.config_json, nullptr, false);
  if (!config.is_object() || !config.contains(name)) return "";
  const json& value = config[name];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<Checkpointed> open_checkpoint_file(const std::filesystem::path& file,
                                          const std::string& key) {
  Checkpointed found;
  if (!std::filesystem::exists(file)) return found;
  KVTOLL_TRY(const std::string content, read_file(file));
  size_t begin = 0;
  bool first = true;
  while (begin < content.size()) {
    const size_t end = content.find('\n', begin);
    if (end == content.npos) break;  // cut off in the middle of a line
    const json line = json::parse(content.substr(begin, end - begin), nullptr, false);
    if (line.is_discarded()) break;
    if (first && line.value("key", "") != key) {
      std::filesystem::remove(file);
      return Checkpointed{};
    }
    if (!first) {
      try {
        found.answers.push_back(read_answer(line));
      } catch (const json::exception&) {
        break;
      }
      found.elapsed_ns = std::max(found.elapsed_ns, line.value("elapsed_ns", int64_t{0}));
    }
    first = false;
    begin = end + 1;
  }
  if (begin < content.size()) std::filesystem::resize_file(file, begin);
  return found;
}

namespace {
Result<void> append_line(const std::filesystem::path& file, const std::string& line) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return machine_error("cannot write {}: {}", file.string(), std::strerror(errno));
  const ssize_t written = ::write(fd, line.data(), line.size());
  const int error = errno;
  ::close(fd);
  if (written != static_cast<ssize_t>(line.size()))
    return machine_error("cannot write {}: {}; free some space and run the command again",
                         file.string(), written < 0 ? std::strerror(error) : "disk full");
  return {};
}
}  // namespace

Result<void> start_checkpoint(const std::filesystem::path& file, const std::string& key) {
  if (std::filesystem::exists(file)) return {};
  return append_line(file, dump({{"key", key}}, -1) + "\n");
}

Result<void> append_answer(const std::filesystem::path& file, const AnswerRecord& answer,
                           int64_t elapsed_ns) {
  json line = answer_json(answer);
  line["elapsed_ns"] = elapsed_ns;
  return append_line(file, dump(line, -1) + "\n");
}

Result<EvalRecord> regrade_file(const std::filesystem::path& file) {
  KVTOLL_TRY(EvalRecord record, read_eval_record(file));
  for (AnswerRecord& answer : record.answers) grade_answer(record.task, record.mode, answer);
  KVTOLL_TRY_VOID(write_file_atomic(file, eval_record_text(record)));
  return record;
}

}  // namespace kvtoll
