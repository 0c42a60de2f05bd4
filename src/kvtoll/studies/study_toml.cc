// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Studies from TOML. Everything unknown is an error with its line: a misspelt key would otherwise
// measure something else than what was meant.
#include <algorithm>
#include <array>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "kvtoll/core/nearest.h"
#include "kvtoll/formats/kv_format.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::studies {
namespace {

using Keys = std::span<const std::string_view>;

// One table of the file: typed access with errors that name file and line.
class Table {
 public:
  Table(const toml::table& table, const std::string& where) : table_(table), where_(where) {}

  Result<void> only(Keys known) const {
    for (const auto& [key, value] : table_)
      if (std::ranges::find(known, key.str()) == known.end())
        return input_error("{}:{}: unknown key \"{}\"{}", where_, key.source().begin.line,
                           key.str(), suggestion(key.str(), known));
    return {};
  }

  Result<void> get(std::string_view key, std::string& out) const {
    const toml::node* node = table_.get(key);
    if (!node) return {};
    if (!node->is_string()) return mistyped(key, *node, "a string");
    out = node->as_string()->get();
    return {};
  }
  Result<void> get(std::string_view key, int64_t& out, int64_t least) const {
    const toml::node* node = table_.get(key);
    return node ? number(key, *node, out, least) : Result<void>();
  }
  // A list, or one value alone.
  Result<void> get(std::string_view key, std::vector<std::string>& out) const {
    return each(key, [&](const toml::node& item, bool first) -> Result<void> {
      if (!item.is_string()) return mistyped(key, item, "a list of strings");
      if (first) out.clear();
      out.push_back(item.as_string()->get());
      return {};
    });
  }
  Result<void> get(std::string_view key, std::vector<int64_t>& out, int64_t least) const {
    return each(key, [&](const toml::node& item, bool first) -> Result<void> {
      if (first) out.clear();
      return number(key, item, out.emplace_back(), least);
    });
  }
  Result<void> tables(std::string_view key, std::vector<Table>& out) const {
    const toml::node* node = table_.get(key);
    if (!node) return {};
    const toml::array* list = node->as_array();
    if (!list) return mistyped(key, *node, fmt::format("one or more tables [[{}]]", key));
    for (const toml::node& item : *list) {
      if (!item.is_table()) return mistyped(key, item, fmt::format("tables [[{}]]", key));
      out.emplace_back(*item.as_table(), where_);
    }
    return {};
  }
  Error error(std::string_view message) const {
    return {ErrorKind::kInput,
            fmt::format("{}:{}: {}", where_, table_.source().begin.line, message)};
  }
  uint32_t line(std::string_view key) const {
    const toml::node* node = table_.get(key);
    return (node ? node->source() : table_.source()).begin.line;
  }

 private:
  Result<void> mistyped(std::string_view key, const toml::node& node, std::string_view what) const {
    return input_error("{}:{}: {} must be {}", where_, node.source().begin.line, key, what);
  }
  Result<void> number(std::string_view key, const toml::node& node, int64_t& out,
                      int64_t least) const {
    if (!node.is_integer() || node.as_integer()->get() < least)
      return mistyped(key, node, fmt::format("a whole number of at least {}", least));
    out = node.as_integer()->get();
    return {};
  }
  template <class F>
  Result<void> each(std::string_view key, F&& take) const {
    const toml::node* node = table_.get(key);
    if (!node) return {};
    const toml::array* list = node->as_array();
    if (!list) return take(*node, true);
    if (list->empty()) return mistyped(key, *node, "a list that is not empty");
    for (size_t i = 0; i < list->size(); ++i) KVTOLL_TRY_VOID(take((*list)[i], i == 0));
    return {};
  }
  const toml::table& table_;
  const std::string& where_;
};

Result<void> check_words(const Table& table, std::string_view key,
                         const std::vector<std::string>& words, Keys known,
                         const std::string& where) {
  for (const std::string& word : words)
    if (std::ranges::find(known, word) == known.end())
      return input_error("{}:{}: {}: unknown \"{}\"{}", where, table.line(key), key, word,
                         suggestion(word, known));
  return {};
}

Result<void> check_formats(const Table& table, const std::vector<std::string>& kv,
                           const std::string& where) {
  if (kv.empty()) return tl::unexpected<Error>(table.error("kv is missing"));
  for (const std::string& spec : kv)
    if (auto policy = KvPolicy::parse(spec); !policy)
      return input_error("{}:{}: kv: {}", where, table.line("kv"), policy.error().message);
  return {};
}

std::vector<std::string_view> model_names(const Study& study) {
  std::vector<std::string_view> names;
  for (const StudyModel& model : study.models) names.push_back(model.name);
  return names;
}

Result<StudyModel> parse_model(const Table& table) {
  static constexpr std::array<std::string_view, 2> kKeys = {"name", "source"};
  KVTOLL_TRY_VOID(table.only(kKeys));
  StudyModel model;
  KVTOLL_TRY_VOID(table.get("name", model.name));
  KVTOLL_TRY_VOID(table.get("source", model.source));
  if (model.name.empty() || model.source.empty())
    return tl::unexpected<Error>(table.error("a model needs name and source"));
  return model;
}

Result<MatrixPart> parse_matrix(const Table& table, const Study& study, const std::string& where) {
  static constexpr std::array<std::string_view, 8> kKeys = {
      "models", "kv", "new_tokens", "residual", "batch", "prompt_tokens", "attention", "launch"};
  static constexpr std::array<std::string_view, 2> kAttention = {"materialize", "fused"};
  static constexpr std::array<std::string_view, 2> kLaunch = {"eager", "graph"};
  KVTOLL_TRY_VOID(table.only(kKeys));
  MatrixPart part;
  KVTOLL_TRY_VOID(table.get("models", part.models));
  KVTOLL_TRY_VOID(table.get("kv", part.kv));
  KVTOLL_TRY_VOID(table.get("new_tokens", part.new_tokens, 2));
  KVTOLL_TRY_VOID(table.get("residual", part.residual, 0));
  KVTOLL_TRY_VOID(table.get("batch", part.batch, 1));
  KVTOLL_TRY_VOID(table.get("prompt_tokens", part.prompt_tokens, 1));
  KVTOLL_TRY_VOID(table.get("attention", part.attention));
  KVTOLL_TRY_VOID(table.get("launch", part.launch));
  if (part.new_tokens.empty()) return tl::unexpected<Error>(table.error("new_tokens is missing"));
  KVTOLL_TRY_VOID(check_words(table, "models", part.models, model_names(study), where));
  KVTOLL_TRY_VOID(check_words(table, "attention", part.attention, kAttention, where));
  KVTOLL_TRY_VOID(check_words(table, "launch", part.launch, kLaunch, where));
  KVTOLL_TRY_VOID(check_formats(table, part.kv, where));
  return part;
}

Result<EvalPart> parse_eval(const Table& table, const Study& study, const std::string& where) {
  static constexpr std::array<std::string_view, 11> kKeys = {
      "models",         "kv",       "task",  "data", "prefill", "limit",
      "max_new_tokens", "residual", "batch", "mode", "prompt"};
  static constexpr std::array<std::string_view, 4> kTasks = {"arith", "facts", "math", "mmlu"};
  static constexpr std::array<std::string_view, 2> kPrefill = {"exact", "quantized"};
  KVTOLL_TRY_VOID(table.only(kKeys));
  EvalPart part;
  KVTOLL_TRY_VOID(table.get("models", part.models));
  KVTOLL_TRY_VOID(table.get("kv", part.kv));
  KVTOLL_TRY_VOID(table.get("task", part.task));
  KVTOLL_TRY_VOID(table.get("data", part.data));
  KVTOLL_TRY_VOID(table.get("prefill", part.prefill));
  KVTOLL_TRY_VOID(table.get("limit", part.limit, 0));
  KVTOLL_TRY_VOID(table.get("max_new_tokens", part.max_new_tokens, 0));
  KVTOLL_TRY_VOID(table.get("residual", part.residual, 0));
  KVTOLL_TRY_VOID(table.get("batch", part.batch, 1));
  KVTOLL_TRY_VOID(table.get("mode", part.mode));
  KVTOLL_TRY_VOID(table.get("prompt", part.prompt));
  KVTOLL_TRY_VOID(check_words(table, "models", part.models, model_names(study), where));
  KVTOLL_TRY_VOID(check_words(table, "task", {part.task}, kTasks, where));
  KVTOLL_TRY_VOID(check_words(table, "prefill", {part.prefill}, kPrefill, where));
  KVTOLL_TRY_VOID(check_formats(table, part.kv, where));
  return part;
}

Result<void> parse_models(const Table& root, Study& study) {
  std::vector<Table> tables;
  KVTOLL_TRY_VOID(root.tables("model", tables));
  for (const Table& table : tables) {
    KVTOLL_TRY(StudyModel model, parse_model(table));
    if (std::ranges::count(study.models, model.name, &StudyModel::name) > 0)
      return tl::unexpected<Error>(table.error(fmt::format("a second model \"{}\"", model.name)));
    study.models.push_back(std::move(model));
  }
  if (study.models.empty()) return tl::unexpected<Error>(root.error("no [[model]]"));
  return {};
}

Result<Study> read_study(const Table& root, const std::string& name, const std::string& where) {
  static constexpr std::array<std::string_view, 8> kKeys = {
      "title", "warmups", "runs", "order", "model", "matrix", "eval", "reference"};
  static constexpr std::array<std::string_view, 2> kOrders = {"interleaved", "sequential"};
  KVTOLL_TRY_VOID(root.only(kKeys));
  Study study;
  study.name = name;
  std::string order = "interleaved";
  KVTOLL_TRY_VOID(root.get("title", study.title));
  KVTOLL_TRY_VOID(root.get("warmups", study.warmups, 0));
  KVTOLL_TRY_VOID(root.get("runs", study.runs, 1));
  KVTOLL_TRY_VOID(root.get("order", order));
  KVTOLL_TRY_VOID(root.get("reference", study.reference));
  KVTOLL_TRY_VOID(check_words(root, "order", {order}, kOrders, where));
  study.order = order == "sequential" ? Order::kSequential : Order::kInterleaved;
  KVTOLL_TRY_VOID(parse_models(root, study));
  std::vector<Table> parts, evals;
  KVTOLL_TRY_VOID(root.tables("matrix", parts));
  KVTOLL_TRY_VOID(root.tables("eval", evals));
  for (const Table& table : parts) {
    KVTOLL_TRY(study.matrix.emplace_back(), parse_matrix(table, study, where));
  }
  for (const Table& table : evals) {
    KVTOLL_TRY(study.evals.emplace_back(), parse_eval(table, study, where));
  }
  if (parts.empty() && evals.empty())
    return tl::unexpected<Error>(root.error("no [[matrix]] and no [[eval]]: nothing to do"));
  return study;
}

}  // namespace

Result<Study> parse_study(std::string_view text, const std::string& name,
                          const std::string& where) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return input_error("{}:{}: not TOML: {}", where, parsed.error().source().begin.line,
                       parsed.error().description());
  return read_study(Table(parsed.table(), where), name, where);
}

}  // namespace kvtoll::studies
