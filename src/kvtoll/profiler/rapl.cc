// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/rapl.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

std::optional<int64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::string read_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// One zone's counter in microjoules; it wraps at `range`.
struct Zone {
  fs::path file;
  int64_t range = 0;
  int64_t last = 0;
  int64_t total = 0;  // since the first read
};

class RaplCounter : public EnergyCounter {
 public:
  explicit RaplCounter(const fs::path& powercap) { find_zones(powercap); }

  const Availability& availability() const override { return availability_; }
  std::string method() const override { return has_dram_ ? "rapl_package+dram" : "rapl_package"; }
  Nanoseconds period() const override { return Nanoseconds(1'000'000); }

  std::optional<double> joules() override {
    int64_t sum = 0;
    for (Zone& zone : zones_) {
      const std::optional<int64_t> value = read_number(zone.file);
      if (!value) return std::nullopt;
      int64_t moved = *value - zone.last;
      if (moved < 0) moved += zone.range;
      zone.last = *value;
      zone.total += moved;
      sum += zone.total;
    }
    return static_cast<double>(sum) * 1e-6;
  }

 private:
  void find_zones(const fs::path& powercap) {
    std::error_code error;
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(powercap, error)) folders.push_back(entry);
    std::sort(folders.begin(), folders.end());
    bool refused = false;
    for (const fs::path& folder : folders) {
      const std::string name = read_word(folder / "name");
      const bool dram = name == "dram";
      if (!dram && !name.starts_with("package")) continue;
      const fs::path counter = folder / "energy_uj";
      const std::optional<int64_t> value = read_number(counter);
      if (!value) {
        refused = refused || fs::exists(counter, error);
        continue;
      }
      const int64_t range = read_number(folder / "max_energy_range_uj").value_or(0);
      zones_.push_back({counter, range, *value, 0});
      has_dram_ = has_dram_ || dram;
    }
    availability_.available = !zones_.empty();
    if (availability_.available) return;
    availability_.reason =
        refused ? "RAPL counters are there but not readable by this user"
                : fmt::format(
                      "no RAPL package counter in {} (virtual machines and many cloud "
                      "hosts hide it)",
                      powercap.string());
    availability_.cure =
        refused ? fmt::format("sudo chmod a+r {}/intel-rapl:*/energy_uj", powercap.string())
                : "run on bare metal with the intel_rapl_msr module loaded";
  }

  std::vector<Zone> zones_;
  bool has_dram_ = false;
  Availability availability_;
};

}  // namespace

std::unique_ptr<EnergyCounter> make_rapl_counter(const fs::path& powercap) {
  return std::make_unique<RaplCounter>(powercap);
}

}  // namespace kvtoll::profiler
