// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvtoll/core/build_info.h"
#include "kvtoll/quality/fidelity.h"

namespace kvtoll {
namespace {

using json = nlohmann::ordered_json;

json summary_json(const DivergenceSummary& s) {
  return {{"positions", s.positions},
          {"kl_mean", s.kl_mean},
          {"kl_p99", s.kl_p99},
          {"kl_max", s.kl_max},
          {"top1_agreement", s.top1_agreement},
          {"perplexity_reference", s.perplexity_reference},
          {"perplexity", s.perplexity_tested}};
}

// Windows whose greedy text never differed count with the length that was followed.
double median_agreement(const FidelityResult& r) {
  std::vector<int64_t> lengths;
  for (const auto& [length, differs] : r.greedy) lengths.push_back(length);
  if (lengths.empty()) return 0;
  std::sort(lengths.begin(), lengths.end());
  const size_t n = lengths.size();
  return static_cast<double>(lengths[n / 2] + lengths[(n - 1) / 2]) / 2;
}

std::string row(std::string_view name, const DivergenceSummary& s) {
  return fmt::format("  {:<24} {:>6}  {:>10.3g} {:>10.3g} {:>10.3g}  {:>6.2f} %  {:>10.4g}\n", name,
                     s.positions, s.kl_mean, s.kl_p99, s.kl_max, 100 * s.top1_agreement,
                     s.perplexity_tested);
}

}  // namespace

std::string fidelity_text(const std::vector<FidelityResult>& results) {
  std::string text;
  for (const FidelityResult& r : results) {
    text += fmt::format("{}: perplexity {:.4g} against {:.4g} of the exact cache\n", r.kv,
                        r.all.perplexity_tested, r.all.perplexity_reference);
    text += fmt::format("  {:<24} {:>6}  {:>10} {:>10} {:>10}  {:>8}  {:>10}\n", "cached tokens",
                        "steps", "KL mean", "KL p99", "KL max", "top-1", "perplexity");
    for (const DivergenceBin& bin : r.bins)
      text += row(fmt::format("{} to {}", bin.from, bin.to - 1), bin.summary);
    text += row("all", r.all);
    if (!r.greedy.empty()) {
      const auto differ =
          std::count_if(r.greedy.begin(), r.greedy.end(), [](const auto& g) { return g.second; });
      text += fmt::format("  greedy text differs in {} of {} windows, median after {} tokens\n",
                          differ, r.greedy.size(), median_agreement(r));
    }
    text += "  " + r.file.string() + "\n";
  }
  return text;
}

std::string fidelity_json(const FidelityConfig& c, const FidelityResult& r, const BackendInfo& info,
                          int64_t windows) {
  json out = {{"schema", "kvtoll.fidelity/1"}};
  out["config"] = {{"model", c.model_name},
                   {"model_source", c.model},
                   {"kv", r.kv},
                   {"reference", c.reference.empty() ? "exact" : c.reference},
                   {"residual", c.residual},
                   {"source", c.task.empty() ? c.text.string() : "task " + c.task},
                   {"windows", windows},
                   {"window_tokens", c.window_tokens},
                   {"prompt_tokens", c.prompt_tokens},
                   {"greedy_tokens", c.greedy_tokens},
                   {"prefill", c.options.prefill == Prefill::kQuantized ? "quantized" : "exact"},
                   {"backend", info.name},
                   {"attention_kernels", info.attention_kernels}};
  out["environment"] = {{"device", info.device},
                        {"kvtoll_version", build_info().version},
                        {"git_revision", build_info().git_revision},
                        {"git_dirty", build_info().git_dirty},
                        {"argv", c.argv}};
  out["fidelity"] = summary_json(r.all);
  json bins = json::array();
  for (const DivergenceBin& bin : r.bins) {
    json b = summary_json(bin.summary);
    b["from"] = bin.from;
    b["to"] = bin.to;
    bins.push_back(std::move(b));
  }
  out["by_position"] = std::move(bins);
  json greedy = json::array();
  for (const auto& [length, differs] : r.greedy)
    greedy.push_back({{"agreeing_tokens", length}, {"differs", differs}});
  out["greedy"] = std::move(greedy);
  return out.dump(1) + "\n";
}

}  // namespace kvtoll
