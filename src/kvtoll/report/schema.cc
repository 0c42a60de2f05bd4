// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvtoll/report/record.h"

namespace kvtoll::report {
namespace {

using Json = nlohmann::json;

bool has_type(const Json& value, FieldType type) {
  switch (type) {
    case FieldType::kString:
      return value.is_string();
    case FieldType::kInteger:
      return value.is_number_integer();
    case FieldType::kNumber:
      return value.is_number();
    case FieldType::kBool:
      return value.is_boolean();
    case FieldType::kObject:
      return value.is_object();
    case FieldType::kArray:
      return value.is_array();
  }
  return false;
}

// Checks one field wherever its path leads; `rest` is the part of the path below `json`.
class FieldCheck {
 public:
  FieldCheck(const SchemaField& field, const std::string& where, bool required)
      : field_(field), where_(where), required_(required) {}

  Result<void> at(const Json& json, std::string_view rest, const std::string& place) const {
    if (!json.is_object()) return {};  // the parent's own row reports that
    const size_t dot = rest.find('.');
    std::string_view name = rest.substr(0, dot);
    const std::string_view below = dot == rest.npos ? "" : rest.substr(dot + 1);
    if (name == "*") {
      for (const auto& [key, value] : json.items())
        KVTOLL_TRY_VOID(value_at(value, below, place + key));
      return {};
    }
    const bool each = name.ends_with("[]");
    if (each) name.remove_suffix(2);
    const auto found = json.find(name);
    if (found == json.end()) return below.empty() ? missing(place + std::string(name)) : ok();
    if (!each) return value_at(*found, below, place + std::string(name));
    if (!found->is_array()) return {};
    for (size_t i = 0; i < found->size(); ++i)
      KVTOLL_TRY_VOID(value_at((*found)[i], below, fmt::format("{}{}[{}]", place, name, i)));
    return {};
  }

 private:
  static Result<void> ok() { return {}; }
  Result<void> missing(const std::string& place) const {
    if (!required_) return {};
    return input_error("{}: {} is missing; `kvtoll schema` lists the fields", where_, place);
  }
  Result<void> value_at(const Json& value, std::string_view below, const std::string& place) const {
    if (!below.empty()) return at(value, below, place + ".");
    if (has_type(value, field_.type) || (value.is_null() && !required_)) return {};
    return input_error("{}: {} is {}, not {}", where_, place, value.type_name(),
                       field_type_name(field_.type));
  }
  const SchemaField& field_;
  const std::string& where_;
  bool required_;
};

bool described(const std::string& path) {
  return std::ranges::any_of(run_schema(), [&](const SchemaField& f) { return f.path == path; });
}

void collect(const Json& json, const std::string& path, std::vector<std::string>& out) {
  for (const auto& [key, value] : json.items()) {
    const bool map = path == "categories." || path == "trace[].category_ns.";
    const std::string here = path + (map ? "*" : key);
    if (!described(here) && !(map && value.is_object())) out.push_back(path + key);
    if (value.is_object()) collect(value, here + ".", out);
    if (value.is_array())
      for (const auto& item : value)
        if (item.is_object()) collect(item, here + "[].", out);
  }
}

std::string_view presence_name(Presence presence) {
  switch (presence) {
    case Presence::kAlways:
      return "always";
    case Presence::kMeasured:
      return "when ok";
    case Presence::kOptional:
      return "optional";
  }
  return "";
}

}  // namespace

std::string_view field_type_name(FieldType type) {
  constexpr std::string_view kNames[] = {"string", "integer", "number", "bool", "object", "array"};
  return kNames[static_cast<size_t>(type)];
}

Result<void> check_schema(const Json& record, const std::string& where) {
  if (!record.is_object()) return input_error("{}: not a record: no JSON object", where);
  const auto schema = record.find("schema");
  if (schema == record.end() || !schema->is_string())
    return input_error("{}: not a record: no field \"schema\"", where);
  const std::string version = *schema;
  if (version != kRunSchema)
    return input_error(
        "{}: written with schema \"{}\", this kvtoll reads \"{}\"; use the version that wrote it, "
        "or another --results folder",
        where, version, kRunSchema);
  const auto status = record.find("status");
  const bool measured = status != record.end() && *status == "ok";
  for (const SchemaField& field : run_schema()) {
    const bool required =
        field.presence == Presence::kAlways || (field.presence == Presence::kMeasured && measured);
    KVTOLL_TRY_VOID(FieldCheck(field, where, required).at(record, field.path, ""));
  }
  return {};
}

std::vector<std::string> undescribed_fields(const Json& record) {
  std::vector<std::string> out;
  collect(record, "", out);
  return out;
}

std::string schema_text() {
  size_t width = 0;
  for (const SchemaField& field : run_schema()) width = std::max(width, field.path.size());
  std::string text = fmt::format("{}\n{:<{}}  {:<8} {:<9} {:<10} {:<6} {}\n", kRunSchema, "field",
                                 width, "type", "present", "unit", "since", "meaning");
  for (const SchemaField& field : run_schema())
    text += fmt::format("{:<{}}  {:<8} {:<9} {:<10} {:<6} {}\n", field.path, width,
                        field_type_name(field.type), presence_name(field.presence), field.unit,
                        field.since, field.description);
  return text;
}

std::string schema_json() {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const SchemaField& field : run_schema())
    rows.push_back({{"name", field.path},
                    {"type", field_type_name(field.type)},
                    {"presence", presence_name(field.presence)},
                    {"unit", field.unit},
                    {"since", field.since},
                    {"description", field.description}});
  const nlohmann::ordered_json root = {{"schema", kRunSchema}, {"fields", rows}};
  return root.dump(1) + "\n";
}

}  // namespace kvtoll::report
