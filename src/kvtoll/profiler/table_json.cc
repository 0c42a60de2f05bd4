// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/table_json.h"

#include <nlohmann/json.hpp>

namespace kvtoll::profiler {
namespace {

using Json = nlohmann::ordered_json;

Json share_json(const TimeShare& t) { return {{"time_ns", t.time.value}, {"share", t.share}}; }

Json bytes_json(const std::optional<Bytes>& bytes) {
  return bytes ? Json(bytes->value) : Json(nullptr);
}

Json kernel_json(const KernelRow& r, double peak_gb_s) {
  Json row = {{"name", r.name},
              {"category", category_name(r.category)},
              {"part", r.part},
              {"calls", r.calls},
              {"time_ns", r.total.value},
              {"resident_ns", r.resident.value},
              {"mean_ns", r.mean_ns},
              {"p50_ns", r.p50_ns},
              {"p99_ns", r.p99_ns},
              {"declared_bytes", bytes_json(r.declared)},
              {"gb_s", r.declared ? Json(r.gb_s) : Json(nullptr)}};
  row["peak_fraction"] = r.declared && peak_gb_s > 0 ? Json(r.gb_s / peak_gb_s) : Json(nullptr);
  row["dram_bytes"] = bytes_json(r.dram);
  row["dram_over_declared"] = r.dram && r.declared && r.declared->value > 0
                                  ? Json(static_cast<double>(r.dram->value) / r.declared->value)
                                  : Json(nullptr);
  if (r.untimed > 0) row["untimed_calls"] = r.untimed;
  return row;
}

}  // namespace

nlohmann::ordered_json table_json(const KernelTable& table, double peak_gb_s) {
  Json out;
  out["kernels"] = Json::array();
  for (const KernelRow& r : table.kernels) out["kernels"].push_back(kernel_json(r, peak_gb_s));
  for (size_t c = 0; c < kCategoryNames.size(); ++c)
    out["categories"][std::string(kCategoryNames[c])] = share_json(table.categories[c]);
  out["categories"]["idle"] = share_json(table.idle);
  out["parts"] = Json::object();
  for (const PartTime& p : table.parts) {
    out["parts"][p.part] = share_json(p.time);
    out["parts"][p.part]["calls"] = p.calls;
  }
  out["trace"] = {{"window_ns", table.window.value},
                  {"busy_ns", table.busy.value},
                  {"overlap_ns", table.overlap.value},
                  {"steps", table.steps},
                  {"launches", table.launches},
                  {"launches_per_step", table.launches_per_step},
                  {"host_api_ns", table.host_api.value},
                  {"host_api_calls", table.host_api_calls},
                  {"untimed", table.untimed},
                  {"dropped", table.dropped},
                  {"unmatched", table.unmatched},
                  {"unknown_kernels", table.unknown},
                  {"notes", table.notes}};
  return out;
}

}  // namespace kvtoll::profiler
