// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/resume.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>

#include "kvtoll/report/record_io.h"

namespace kvtoll::studies {
namespace {

namespace fs = std::filesystem;

// "raw/x.json.tmp123" -> 123; 0 if it is no temporary file.
int temporary_pid(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t at = name.rfind(".tmp");
  int pid = 0;
  if (at == name.npos) return 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + at + 4, end, pid);
  return error == std::errc() && stop == end ? pid : 0;
}

Result<void> same(const fs::path& file, std::string_view what, const std::string& there,
                  const std::string& now) {
  if (there == now) return {};
  return input_error(
      "{}: measured with {} \"{}\", now it would be \"{}\"; use --force to measure again, or "
      "another "
      "--results folder",
      file.string(), what, there, now);
}

Result<void> made_alike(const fs::path& file, const report::RunRecord& there,
                        const report::RunRecord& now) {
  const report::ConfigFields &a = there.config, &b = now.config;
  KVTOLL_TRY_VOID(same(file, "model", a.model_source, b.model_source));
  KVTOLL_TRY_VOID(same(file, "weights", a.weights_dtype, b.weights_dtype));
  KVTOLL_TRY_VOID(same(file, "prefill", a.prefill, b.prefill));
  KVTOLL_TRY_VOID(same(file, "order", there.protocol.order, now.protocol.order));
  const auto counts = [](const report::ProtocolFields& p) {
    return fmt::format("{} warm-ups and {} runs", p.warmups, p.runs);
  };
  return same(file, "protocol", counts(there.protocol), counts(now.protocol));
}

}  // namespace

Result<Remaining> remaining_blocks(const std::vector<Block>& blocks, const fs::path& raw,
                                   const std::function<report::RunRecord(const Block&)>& expected) {
  Remaining remaining;
  for (const Block& block : blocks) {
    Block failed{block.model, {}};
    bool missing = false;
    for (const Configuration& configuration : block.formats) {
      const fs::path file = raw / configuration.file();
      if (!fs::exists(file)) {
        missing = true;
        continue;
      }
      KVTOLL_TRY(const report::RunRecord record, report::read_record(file));
      KVTOLL_TRY_VOID(made_alike(file, record, expected(block)));
      if (record.status == report::Status::kFailed) failed.formats.push_back(configuration);
    }
    const Block& todo = missing ? block : failed;
    remaining.skipped += static_cast<int64_t>(block.formats.size() - todo.formats.size());
    if (!todo.formats.empty()) remaining.blocks.push_back(todo);
  }
  return remaining;
}

std::vector<fs::path> temporaries(const fs::path& raw) {
  std::vector<fs::path> found;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(raw, ec))
    if (temporary_pid(entry.path()) > 0) found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

void remove_stale_temporaries(const fs::path& raw) {
  std::error_code ec;
  for (const fs::path& path : temporaries(raw))
    if (::kill(temporary_pid(path), 0) != 0 && errno == ESRCH) fs::remove(path, ec);
}

}  // namespace kvtoll::studies
