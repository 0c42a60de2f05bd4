// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/validate.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/report/record_io.h"
#include "kvtoll/report/results.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;

// Numbers of a measured record that must agree with each other.
void check_consistency(const RunRecord& r, const std::string& where,
                       std::vector<std::string>& problems) {
  const auto problem = [&](const std::string& text) { problems.push_back(where + ": " + text); };
  if (static_cast<int64_t>(r.runs.size()) != r.protocol.runs)
    problem(fmt::format("{} runs, the protocol says {}", r.runs.size(), r.protocol.runs));
  if (r.throughput.decode_tok_s.samples.size() != r.runs.size())
    problem("throughput.decode_tok_s has another number of samples than there are runs");
  for (size_t i = 0; i < r.runs.size(); ++i) {
    const RunSample& run = r.runs[i];
    const auto steps = static_cast<int64_t>(run.step_ns.size());
    if (steps != r.config.new_tokens - 1)
      problem(fmt::format("run {} has {} steps, {} new tokens need {}", i, steps,
                          r.config.new_tokens, r.config.new_tokens - 1));
    int64_t sum = 0;
    for (const int64_t ns : run.step_ns) sum += ns;
    if (sum != run.decode_ns)
      problem(fmt::format("run {}: decode_ns is not the sum of step_ns", i));
  }
  for (const TraceWindow& w : r.trace) {
    const auto idle = w.category_ns.find("idle");
    const int64_t covered = w.busy_ns + (idle == w.category_ns.end() ? 0 : idle->second);
    if (std::abs(static_cast<double>(covered - w.window_ns)) >
        0.005 * static_cast<double>(w.window_ns))
      problem(
          fmt::format("trace at context {}: busy and idle do not make up the window", w.context));
  }
  const MemoryFields& m = r.memory;
  if (m.kv_payload_bytes + m.kv_scales_bytes + m.kv_residual_bytes != m.kv_bytes)
    problem("memory.kv_bytes is not the sum of its parts");
}

void check_record(const fs::path& file, Validation& out) {
  const std::string where = file.filename().string();
  auto record = read_record(file);
  if (!record) {
    out.problems.push_back(record.error().message);
    return;
  }
  ++out.records;
  if (record_file_name(record->config.key()) != where)
    out.problems.push_back(fmt::format("{}: its configuration belongs into {}", where,
                                       record_file_name(record->config.key())));
  if (record->status == Status::kOk)
    check_consistency(*record, where, out.problems);
  else if (record->status == Status::kFailed)
    out.problems.push_back(fmt::format("{}: failed: {}", where, record->reason));
  else
    out.notes.push_back(
        fmt::format("{}: {}: {}", where, status_name(record->status), record->reason));
}

void check_raw(const fs::path& raw, Validation& out) {
  std::vector<fs::path> entries;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(raw, ec)) entries.push_back(entry.path());
  if (ec) out.problems.push_back(fmt::format("{}: {}", raw.string(), ec.message()));
  std::ranges::sort(entries);
  for (const fs::path& path : entries) {
    if (path.extension() == ".json")
      check_record(path, out);
    else if (path.filename().string().find(".json.tmp") != std::string::npos)
      out.problems.push_back(fmt::format(
          "{}: a temporary file: a run is going on, or one was killed while it wrote (delete it)",
          path.filename().string()));
    else
      out.problems.push_back(fmt::format("{}: not a record", path.filename().string()));
  }
}

}  // namespace

Result<Validation> validate_results(const fs::path& results) {
  Validation out;
  if (!fs::is_directory(results))
    return input_error("{}: no such results folder", results.string());
  const fs::path raw = results / "raw";
  if (fs::is_directory(raw)) check_raw(raw, out);
  auto manifests = read_manifests(results);
  if (!manifests) {
    out.problems.push_back(manifests.error().message);
    return out;
  }
  out.studies = manifests->size();
  for (const StudyManifest& manifest : *manifests)
    for (const std::string& file : manifest.files)
      if (!fs::exists(raw / file))
        out.problems.push_back(fmt::format("{}: missing; the study {} has it (kvtoll run resumes)",
                                           file, manifest.name));
  return out;
}

}  // namespace kvtoll::report
