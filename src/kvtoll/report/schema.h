// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What every field of a record means: name, unit, description, version. `kvtoll schema` prints the
// table, the reader and `kvtoll validate` check files against it.
// Example: KVTOLL_TRY_VOID(check_schema(json, "raw/x.json"));
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "kvtoll/core/result.h"

namespace kvtoll::report {

enum class FieldType : uint8_t { kString, kInteger, kNumber, kBool, kObject, kArray };
enum class Presence : uint8_t {
  kAlways,
  kMeasured,  // in records whose status is ok
  kOptional,
};

struct SchemaField {
  std::string_view path;  // dots; [] is each element of an array, * each name of a map
  FieldType type;
  Presence presence;
  std::string_view unit;  // empty: none
  std::string_view description;
  std::string_view since = "1";
};

std::span<const SchemaField> run_schema();
std::string_view field_type_name(FieldType type);

// Errors: kInput naming `where` and the field: another schema version, missing, mistyped. Fields
// that the table does not know are allowed (a later version may have written them).
Result<void> check_schema(const nlohmann::json& record, const std::string& where);

// Paths of `record` that the table does not describe; for tests.
std::vector<std::string> undescribed_fields(const nlohmann::json& record);

std::string schema_text();  // an aligned table
std::string schema_json();

}  // namespace kvtoll::report
