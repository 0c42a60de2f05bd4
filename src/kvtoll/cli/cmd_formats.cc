// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "kvtoll/cli/command.h"
#include "kvtoll/formats/golden.h"

namespace kvtoll::cli {
namespace {

void print_formats(bool json) {
  if (json) {
    auto list = nlohmann::json::array();
    for (const KvFormatInfo& info : kv_formats())
      list.push_back({{"name", info.name},
                      {"bits_per_value", info.bits_per_value},
                      {"description", info.description},
                      {"options", info.options},
                      {"source", info.source}});
    fmt::print("{}\n", list.dump(2));
    return;
  }
  fmt::print("{:<12} {:>10}  {:<60} {}\n", "name", "bits/value", "options (default; others)",
             "scheme");
  for (const KvFormatInfo& info : kv_formats())
    fmt::print("{:<12} {:>10.4g}  {:<60} {}\n", info.name, info.bits_per_value, info.options,
               info.description);
  fmt::print(
      "\nA spec is FORMAT or KEYS/VALUES, with options after ':' and per-layer overrides after "
      "'@':\n"
      "  int4-quanto:group=32    int8-hqq:axis=1/int4-quanto    int4-quanto@0,-1=fp16\n"
      "Bits per value count the scales of a 16-bit cache. The bytes are specified in "
      "docs/formats.md.\n");
}

void print_verdict(const std::string& path, const GoldenVerdict& verdict) {
  fmt::print("{}: {}, {}, [{}, {}, {}]: ", path, verdict.format.to_string(),
             dtype_name(verdict.dtype), verdict.shape.kv_heads, verdict.shape.tokens,
             verdict.shape.dim);
  if (verdict.equal()) fmt::print("equal, {} numbers", verdict.compared);
  for (size_t i = 0; i < verdict.differences.size(); ++i) {
    const GoldenDifference& d = verdict.differences[i];
    fmt::print("{}tensor '{}' differs first at {}: expected {:.9g}, got {:.9g} ({} of {} differ)",
               i == 0 ? "DIFFERENT\n  " : "\n  ", d.tensor, d.index, d.expected, d.got, d.count,
               d.of);
  }
  if (verdict.undefined_codes > 0)
    fmt::print("{}{} codes that the library leaves undefined were not compared",
               verdict.equal() ? "; " : "\n  ", verdict.undefined_codes);
  if (!verdict.note.empty()) fmt::print("\n  note: {}", verdict.note);
  fmt::print("\n");
}

nlohmann::json to_json(const std::string& path, const GoldenVerdict& verdict) {
  auto differences = nlohmann::json::array();
  for (const GoldenDifference& d : verdict.differences)
    differences.push_back({{"tensor", d.tensor},
                           {"index", d.index},
                           {"expected", fmt::format("{:.9g}", d.expected)},
                           {"got", fmt::format("{:.9g}", d.got)},
                           {"count", d.count},
                           {"of", d.of}});
  return {{"file", path},
          {"equal", verdict.equal()},
          {"format", verdict.format.to_string()},
          {"dtype", std::string(dtype_name(verdict.dtype))},
          {"shape", {verdict.shape.kv_heads, verdict.shape.tokens, verdict.shape.dim}},
          {"compared", verdict.compared},
          {"undefined_codes", verdict.undefined_codes},
          {"differences", differences},
          {"note", verdict.note},
          {"metadata", verdict.metadata}};
}

ExitCode verify(const std::vector<std::string>& paths, bool json) {
  ExitCode exit_code = 0;
  auto list = nlohmann::json::array();
  for (const std::string& path : paths) {
    const auto verdict = verify_golden(path);
    if (!verdict) {
      exit_code = std::max(exit_code, fail(verdict.error()));
      continue;
    }
    if (!verdict->equal()) exit_code = std::max(exit_code, static_cast<int>(ErrorKind::kFailed));
    if (json)
      list.push_back(to_json(path, *verdict));
    else
      print_verdict(path, *verdict);
  }
  if (json) fmt::print("{}\n", list.dump(2));
  return exit_code;
}

}  // namespace

void setup_formats(CLI::App& app, ExitCode& exit_code) {
  struct Options {
    bool json = false, verify_json = false;
    std::vector<std::string> files;
  };
  auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "the list as JSON");
  CLI::App* check = app.add_subcommand(
      "verify", "compare golden tensors (tools/golden_formats.py) bit for bit; 1: they differ");
  check->add_option("FILE", options->files, "golden .safetensors files")->required();
  check->add_flag("--json", options->verify_json, "the verdicts as JSON");
  check->callback([options, &exit_code] {
    exit_code = verify(options->files, options->verify_json || options->json);
  });
  app.callback([options, check] {
    if (!check->parsed()) print_formats(options->json);
  });
}

}  // namespace kvtoll::cli
