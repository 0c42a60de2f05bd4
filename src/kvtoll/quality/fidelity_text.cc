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

// "differs in 1 of 2 windows, there after 80 tokens (median)".
std::string greedy_line(const FidelityResult& r) {
  std::vector<int64_t> differing;
  int64_t longest = 0;
  for (const auto& [length, differs] : r.greedy) {
    longest = std::max(longest, length);
    if (differs) differing.push_back(length);
  }
  if (differing.empty())
    return fmt::format("  greedy text is the same in {} of {} windows, up to {} tokens\n",
                       r.greedy.size(), r.greedy.size(), longest);
  std::sort(differing.begin(), differing.end());
  const size_t n = differing.size();
  const double median = static_cast<double>(differing[n / 2] + differing[(n - 1) / 2]) / 2;
  return fmt::format("  greedy text differs in {} of {} windows, there after {} tokens (median)\n",
                     n, r.greedy.size(), median);
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
    if (!r.greedy.empty()) text += greedy_line(r);
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
                   {"prefill", prefill_name(c.options.prefill)},
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
