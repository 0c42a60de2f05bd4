// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Nsight Systems' SQLite export (nsys export --type sqlite): kernels, copies and fills with the
// correlation of their launch, runtime calls, NVTX ranges; texts by number in StringIds. Source:
// Nsight Systems User Guide, "SQLite Schema Reference".
#include <sqlite3.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_map>

#include "kvtoll/profiler/launch_context.h"
#include "kvtoll/profiler/trace_file.h"

namespace kvtoll::profiler {
namespace {

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

// One row of a result; columns by number.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string_view text(int column) const {
    const auto* p = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return p ? std::string_view(p) : std::string_view();
  }

 private:
  sqlite3_stmt* statement_;
};

class Export {
 public:
  Export(Database db, std::filesystem::path path, const TraceFileOptions& options)
      : db_(std::move(db)), path_(std::move(path)), options_(options) {}

  Result<TraceFile> read() {
    KVTOLL_TRY_VOID(query("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')",
                          [&](const Row& r) { tables_.emplace_back(r.text(0)); }));
    if (!has("CUPTI_ACTIVITY_KIND_KERNEL"))
      return input_error("{}: no CUPTI_ACTIVITY_KIND_KERNEL table: {}", path_.string(),
                         has("CUPTI_ACTIVITY_KIND_GRAPH_TRACE")
                             ? "graphs were traced as a whole; profile again with "
                               "--cuda-graph-trace=node"
                             : "profile with nsys profile --trace=cuda,nvtx, then nsys export "
                               "--type sqlite");
    KVTOLL_TRY_VOID(read_kernels());
    KVTOLL_TRY_VOID(read_moves());
    KVTOLL_TRY_VOID(read_api());
    KVTOLL_TRY_VOID(read_ranges());
    KVTOLL_TRY_VOID(read_device());
    if (file_.trace.kernels.empty())
      return input_error("{}: the export holds no kernels", path_.string());
    add_context();
    add_notes();
    file_.tool = "nsight-systems";
    return std::move(file_);
  }

 private:
  bool has(std::string_view table) const {
    return std::find(tables_.begin(), tables_.end(), table) != tables_.end();
  }

  Result<void> query(const char* sql, const std::function<void(const Row&)>& each) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql, -1, &raw, nullptr) != SQLITE_OK) return broken();
    const Statement statement(raw);
    int state = SQLITE_OK;
    while ((state = sqlite3_step(raw)) == SQLITE_ROW) each(Row(raw));
    return state == SQLITE_DONE ? Result<void>{} : broken();
  }
  tl::unexpected<Error> broken() const {
    return input_error(
        "{}: not a readable Nsight Systems export ({}); export it again with nsys "
        "export --type sqlite",
        path_.string(), sqlite3_errmsg(db_.get()));
  }

  void add(std::string_view name, const Row& r, int64_t bytes) {
    KernelRecord k;
    k.name = file_.trace.names->intern(name);
    k.start_ns = r.number(0);
    k.end_ns = r.number(1);
    k.stream = static_cast<uint32_t>(r.number(2));
    k.declared_bytes = bytes;
    file_.trace.kernels.push_back(k);
    correlations_.push_back(r.number(3));
  }

  Result<void> read_kernels() {
    return query(
        "SELECT k.start, k.end, k.streamId, k.correlationId, s.value, k.deviceId "
        "FROM CUPTI_ACTIVITY_KIND_KERNEL k LEFT JOIN StringIds s ON s.id = k.demangledName",
        [&](const Row& r) {
          add(r.is_null(4) ? "unnamed kernel" : r.text(4), r, -1);
          devices_.push_back(r.number(5));
        });
  }

  Result<void> read_moves() {
    if (has("CUPTI_ACTIVITY_KIND_MEMCPY"))
      KVTOLL_TRY_VOID(
          query("SELECT start, end, streamId, correlationId, bytes, copyKind "
                "FROM CUPTI_ACTIVITY_KIND_MEMCPY",
                [&](const Row& r) { add(copy_name(r.number(5)), r, r.number(4)); }));
    if (has("CUPTI_ACTIVITY_KIND_MEMSET"))
      KVTOLL_TRY_VOID(
          query("SELECT start, end, streamId, correlationId, bytes FROM CUPTI_ACTIVITY_KIND_MEMSET",
                [&](const Row& r) { add("Memset", r, r.number(4)); }));
    return {};
  }

  static std::string_view copy_name(int64_t kind) {
    switch (kind) {  // ENUM_CUDA_MEMCPY_OPER
      case 1:
        return "Memcpy HtoD";
      case 2:
        return "Memcpy DtoH";
      case 8:
        return "Memcpy DtoD";
      case 10:
        return "Memcpy PtoP";
      default:
        return "Memcpy";
    }
  }

  Result<void> read_api() {
    if (!has("CUPTI_ACTIVITY_KIND_RUNTIME")) return {};
    return query(
        "SELECT r.start, r.end, r.globalTid, r.correlationId, s.value "
        "FROM CUPTI_ACTIVITY_KIND_RUNTIME r LEFT JOIN StringIds s ON s.id = r.nameId",
        [&](const Row& r) {
          const auto thread = static_cast<uint64_t>(r.number(2));
          file_.trace.api.push_back({file_.trace.names->intern(r.text(4)), r.number(0), r.number(1),
                                     static_cast<uint32_t>(thread & 0xffffff)});
          calls_[r.number(3)] = {thread, r.number(0)};
        });
  }

  // Push/pop and start/end ranges; marks have no end.
  Result<void> read_ranges() {
    if (!has("NVTX_EVENTS")) return {};
    return query(
        "SELECT n.start, n.end, n.globalTid, COALESCE(n.text, s.value) FROM NVTX_EVENTS n "
        "LEFT JOIN StringIds s ON s.id = n.textId WHERE n.end IS NOT NULL",
        [&](const Row& r) {
          const std::string_view name = file_.trace.names->intern(r.text(3));
          if (name.starts_with(options_.steps))
            file_.trace.steps.push_back(
                {{trace::StepKind::kAppend, -1, 0}, r.number(0), r.number(1)});
          frames_.push_back({name, static_cast<uint64_t>(r.number(2)), r.number(0), r.number(1)});
        });
  }

  Result<void> read_device() {
    if (!has("TARGET_INFO_GPU")) return {};
    return query("SELECT name FROM TARGET_INFO_GPU ORDER BY id LIMIT 1",
                 [&](const Row& r) { file_.device = std::string(r.text(0)); });
  }

  void add_context() {
    TraceData& t = file_.trace;
    std::sort(t.steps.begin(), t.steps.end(),
              [](const StepRecord& a, const StepRecord& b) { return a.start_ns < b.start_ns; });
    std::vector<HostLaunch> launches;
    for (size_t i = 0; i < t.kernels.size(); ++i) {
      const auto call = calls_.find(correlations_[i]);
      if (call == calls_.end()) continue;
      launches.push_back({call->second.first, call->second.second, i});
      t.kernels[i].step = step_at(t.steps, call->second.second);
    }
    set_contexts(std::move(frames_), std::move(launches), t);
  }

  void add_notes() {
    std::sort(devices_.begin(), devices_.end());
    const auto count = std::unique(devices_.begin(), devices_.end()) - devices_.begin();
    if (count > 1)
      file_.trace.notes.push_back(fmt::format(
          "kernels of {} devices stand on one axis: overlap counts them side by side", count));
    if (has("CUPTI_ACTIVITY_KIND_GRAPH_TRACE"))
      file_.trace.notes.push_back(
          "some CUDA graphs were traced as a whole and are missing here: profile with "
          "--cuda-graph-trace=node");
  }

  Database db_;
  std::filesystem::path path_;
  const TraceFileOptions& options_;
  std::vector<std::string> tables_;
  TraceFile file_;
  std::vector<int64_t> correlations_, devices_;
  std::unordered_map<int64_t, std::pair<uint64_t, int64_t>> calls_;  // thread, time
  std::vector<HostFrame> frames_;
};

}  // namespace

Result<TraceFile> read_nsys_export(const std::filesystem::path& path,
                                   const TraceFileOptions& options) {
  sqlite3* raw = nullptr;
  const int state = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY, nullptr);
  Database db(raw);
  if (state != SQLITE_OK)
    return input_error("{}: cannot be opened as SQLite ({})", path.string(),
                       raw ? sqlite3_errmsg(raw) : "out of memory");
  return Export(std::move(db), path, options).read();
}

}  // namespace kvtoll::profiler
