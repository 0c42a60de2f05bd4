// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/kv_format.h"

#include <charconv>

#include "kvtoll/formats/registry.h"

namespace kvtoll {
namespace {

constexpr int kMaxGroup = 1 << 20;     // beyond any head_dim x tokens that a group could span
constexpr int kMaxResidual = 1 << 24;  // tokens
constexpr int kMaxLayer = 100'000;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// Reads an integer at the front of `text` and removes it.
std::optional<int> take_int(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > kMaxGroup * 16 || value < -kMaxLayer) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

std::optional<int> whole_int(std::string_view text) {
  const std::optional<int> value = take_int(text);
  return text.empty() ? value : std::nullopt;
}

std::string_view known_options(const KvFormat& format) {
  switch (format.scheme) {
    case KvScheme::kNone:
      return "no options";
    case KvScheme::kQuanto:
      return "group, axis, residual";
    case KvScheme::kHqq:
      return "group, axis, residual, solver";
  }
  return "";
}

Result<void> set_axis(KvFormat& format, std::string_view value) {
  const int other = format.scheme == KvScheme::kQuanto ? -1 : 1;
  const std::optional<int> axis = whole_int(value);
  if (!axis || (*axis != 0 && *axis != other))
    return usage_error("{}: axis={} is not possible: {} groups along axis 0 or {}", format.name,
                       value, format.scheme == KvScheme::kQuanto ? "quanto" : "HQQ", other);
  format.axis = *axis;
  return {};
}

Result<void> set_option(KvFormat& format, std::string_view key, std::string_view value) {
  if (format.quantized() && key == "group") {
    const std::optional<int> group = whole_int(value);
    if (!group || *group < 1 || *group > kMaxGroup)
      return usage_error("{}: group={} must be a whole number from 1 to {}", format.name, value,
                         kMaxGroup);
    format.group = *group;
    return {};
  }
  if (format.quantized() && key == "axis") return set_axis(format, value);
  if (format.quantized() && key == "residual") {
    const std::optional<int> residual = whole_int(value);
    if (value == "none")
      return usage_error(
          "{}: residual=none (quantize on append) is not served for this format: the library keeps "
          "a residual; residual=1 is the shortest, it flushes every second token",
          format.name);
    if (!residual || *residual < 0 || *residual > kMaxResidual)
      return usage_error("{}: residual={} must be a number of tokens from 0 to {}", format.name,
                         value, kMaxResidual);
    format.residual = *residual;
    return {};
  }
  if (format.scheme == KvScheme::kHqq && key == "solver") {
    if (value != "fp16" && value != "fp32")
      return usage_error("{}: solver={} is not known: fp16 (as on CUDA) or fp32 (as on a CPU)",
                         format.name, value);
    format.solver = value == "fp16" ? HqqSolver::kFp16 : HqqSolver::kFp32;
    return {};
  }
  return usage_error("{} has no option '{}'; it takes {}", format.name, key, known_options(format));
}

Result<KvFormat> default_format(std::string_view name, std::string_view spec) {
  if (const KvFormat* format = find_kv_format(name)) return *format;
  if (name.empty())
    return usage_error("KV format '{}': a format's name is missing; the formats are {}", spec,
                       kv_format_names());
  if (is_reserved_kv_format(name))
    return usage_error("KV format '{}' is not built into this version; the formats are {}", name,
                       kv_format_names());
  const std::string near = nearest_kv_format(name);
  return usage_error("unknown KV format '{}'{}; the formats are {}", name,
                     near.empty() ? "" : ": did you mean '" + near + "'?", kv_format_names());
}

Result<KvPair> parse_pair(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '/');
  if (parts.size() > 2)
    return usage_error("KV format '{}': at most one '/' between the keys' and the values' format",
                       text);
  KvPair pair;
  KVTOLL_TRY(pair.key, KvFormat::parse(parts[0]));
  KVTOLL_TRY(pair.value, KvFormat::parse(parts.back()));
  return pair;
}

// "0", "-1", "2-5", "-4--1".
Result<std::pair<int, int>> parse_range(std::string_view text) {
  std::string_view rest = text;
  const std::optional<int> first = take_int(rest);
  std::optional<int> last = first;
  if (first && !rest.empty()) {
    last = std::nullopt;
    if (rest[0] == '-') rest.remove_prefix(1), last = take_int(rest);
  }
  if (!first || !last || !rest.empty() || *first > kMaxLayer || *last > kMaxLayer)
    return usage_error("layers '{}': expected a layer or a range, like 0, -1 or 2-5", text);
  return std::pair(*first, *last);
}

std::string spell(int layer, int resolved) {
  return layer < 0 ? fmt::format("{} (layer {})", layer, resolved) : fmt::format("{}", layer);
}

}  // namespace

Result<KvFormat> KvFormat::parse(std::string_view spec) {
  const size_t colon = spec.find(':');
  KVTOLL_TRY(KvFormat format, default_format(spec.substr(0, colon), spec));
  if (colon == std::string_view::npos) return format;
  for (std::string_view option : split(spec.substr(colon + 1), ',')) {
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos)
      return usage_error("KV format '{}': expected option=value, found '{}'", spec, option);
    KVTOLL_TRY_VOID(set_option(format, option.substr(0, equals), option.substr(equals + 1)));
  }
  return format;
}

std::string KvFormat::to_string() const {
  const KvFormat* base = find_kv_format(name);
  const KvFormat defaults = base ? *base : KvFormat{};
  std::string options;
  auto add = [&](std::string_view key, const auto& value) {
    options += fmt::format("{}{}={}", options.empty() ? ":" : ",", key, value);
  };
  if (group != defaults.group) add("group", group);
  if (axis != defaults.axis) add("axis", axis);
  if (residual) add("residual", *residual);
  if (solver != defaults.solver) add("solver", solver == HqqSolver::kFp16 ? "fp16" : "fp32");
  return name + options;
}

Result<KvPolicy> KvPolicy::parse(std::string_view spec) {
  KvPolicy policy;
  policy.text_ = std::string(spec);
  const std::vector<std::string_view> parts = split(spec, '@');
  KVTOLL_TRY(policy.base_, parse_pair(parts[0]));
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string_view::npos)
      return usage_error("KV format '{}': after '@' expected LAYERS=FORMAT, found '{}'", spec,
                         parts[i]);
    Override entry;
    for (std::string_view range : split(parts[i].substr(0, equals), ',')) {
      KVTOLL_TRY(auto layers, parse_range(range));
      entry.layers.push_back(layers);
    }
    KVTOLL_TRY(entry.pair, parse_pair(parts[i].substr(equals + 1)));
    policy.overrides_.push_back(std::move(entry));
  }
  return policy;
}

Result<std::vector<KvPair>> KvPolicy::resolve(int layers) const {
  std::vector<KvPair> resolved(static_cast<size_t>(layers), base_);
  for (const Override& entry : overrides_) {
    for (const auto& [first, last] : entry.layers) {
      const int from = first < 0 ? first + layers : first;
      const int to = last < 0 ? last + layers : last;
      if (from < 0 || to < 0 || from >= layers || to >= layers)
        return usage_error("KV format '{}': layer {} is outside 0..{} of this model", text_,
                           from < 0 || from >= layers ? first : last, layers - 1);
      if (from > to)
        return usage_error("KV format '{}': the layer range from {} to {} is empty", text_,
                           spell(first, from), spell(last, to));
      for (int layer = from; layer <= to; ++layer)
        resolved[static_cast<size_t>(layer)] = entry.pair;
    }
  }
  return resolved;
}

}  // namespace kvtoll
