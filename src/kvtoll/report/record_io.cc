// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/record_io.h"

#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>

#include "kvtoll/core/files.h"
#include "kvtoll/report/record_fields.h"
#include "kvtoll/report/schema.h"

namespace kvtoll::report {
namespace {

using Json = nlohmann::ordered_json;

class Writer;
class Reader;
template <class T>
concept HasFields = requires(T& x, Writer& a) {
  fields(a, x);
};

class Writer {
 public:
  template <class T>
  void operator()(const char* name, T& value) {
    json_[name] = to_json(value);
  }
  Json take() { return std::move(json_); }

 private:
  template <class T>
  static Json to_json(T& value) {
    return Json(value);
  }
  template <class T>
  static Json to_json(std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
  }
  template <HasFields T>
  static Json to_json(T& value) {
    Writer inner;
    fields(inner, value);
    return inner.take();
  }
  template <HasFields T>
  static Json to_json(std::vector<T>& values) {
    Json list = Json::array();
    for (T& value : values) list.push_back(to_json(value));
    return list;
  }
  template <HasFields T>
  static Json to_json(std::map<std::string, T>& values) {
    Json map = Json::object();
    for (auto& [name, value] : values) map[name] = to_json(value);
    return map;
  }
  Json json_ = Json::object();
};

// Absent and null members keep their default: check_schema has already refused what must be there.
class Reader {
 public:
  explicit Reader(const nlohmann::json& json) : json_(json) {}
  template <class T>
  void operator()(const char* name, T& value) {
    const auto found = json_.find(name);
    if (found != json_.end() && !found->is_null()) from_json(*found, value);
  }

 private:
  template <class T>
  static void from_json(const nlohmann::json& json, T& value) {
    json.get_to(value);
  }
  template <class T>
  static void from_json(const nlohmann::json& json, std::optional<T>& value) {
    value = json.get<T>();
  }
  template <HasFields T>
  static void from_json(const nlohmann::json& json, T& value) {
    Reader inner(json);
    fields(inner, value);
  }
  template <HasFields T>
  static void from_json(const nlohmann::json& json, std::vector<T>& values) {
    for (const auto& item : json) from_json(item, values.emplace_back());
  }
  template <HasFields T>
  static void from_json(const nlohmann::json& json, std::map<std::string, T>& values) {
    for (const auto& [name, item] : json.items()) from_json(item, values[name]);
  }
  const nlohmann::json& json_;
};

std::optional<Status> parse_status(std::string_view name) {
  for (const Status s : {Status::kOk, Status::kOom, Status::kUnsupported, Status::kFailed})
    if (status_name(s) == name) return s;
  return std::nullopt;
}

bool measured_only(const std::string& key) {
  return key == "throughput" || key == "step_latency" || key == "memory" || key == "categories" ||
         key == "tracing_overhead" || key == "energy";
}

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kOom:
      return "oom";
    case Status::kUnsupported:
      return "unsupported";
    case Status::kFailed:
      return "failed";
  }
  return "failed";
}

std::string record_text(const RunRecord& record) {
  RunRecord copy = record;  // fields() serves reading too, so it takes non-const members
  Writer writer;
  fields(writer, copy);
  std::string text = fmt::format("{{\n\"schema\": \"{}\",\n\"status\": \"{}\",\n\"reason\": {}",
                                 kRunSchema, status_name(record.status),
                                 record.reason.empty() ? "null" : Json(record.reason).dump());
  const Json json = writer.take();
  for (const auto& [key, value] : json.items()) {
    if (record.status != Status::kOk && measured_only(key)) continue;
    // Invalid UTF-8 (a path, an argument) is replaced, not thrown.
    text += fmt::format(",\n\"{}\": {}", key,
                        value.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return text + "\n}\n";
}

Result<RunRecord> parse_record(const std::string& text, const std::string& where) {
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    return input_error("{}: not a whole JSON file ({}); delete it and run the study again", where,
                       error.what());
  }
  KVTOLL_TRY_VOID(check_schema(json, where));
  RunRecord record;
  try {
    const auto status = parse_status(json.at("status").get<std::string>());
    if (!status) return input_error("{}: status: unknown value {}", where, json["status"].dump());
    record.status = *status;
    if (json.contains("reason") && json["reason"].is_string()) record.reason = json["reason"];
    Reader reader(json);
    fields(reader, record);
  } catch (const nlohmann::json::exception& error) {
    return input_error("{}: {}", where, error.what());
  }
  return record;
}

Result<RunRecord> read_record(const std::filesystem::path& path) {
  KVTOLL_TRY(const std::string text, read_file(path));
  return parse_record(text, path.string());
}

Result<std::filesystem::path> write_record(const std::filesystem::path& folder,
                                           const RunRecord& record) {
  const std::filesystem::path path = folder / record_file_name(record.config.key());
  KVTOLL_TRY_VOID(write_file_atomic(path, record_text(record)));
  return path;
}

}  // namespace kvtoll::report
