// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "kvtoll/core/check.h"

namespace kvtoll {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "files are read in place");

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr size_t kMaxRank = 16;

struct StoredDType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};
constexpr StoredDType kStoredDTypes[] = {
    {"F32", 32, DType::kF32}, {"F16", 16, DType::kF16}, {"BF16", 16, DType::kBF16},
    {"I32", 32, DType::kI32}, {"I64", 64, DType::kI64}, {"U8", 8, DType::kU8},
    {"I8", 8, DType::kI8},    {"I16", 16, DType::kI16}, {"F64", 64, {}},
    {"U64", 64, {}},          {"U32", 32, {}},          {"U16", 16, {}},
    {"BOOL", 8, {}},          {"F8_E5M2", 8, {}},       {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},       {"C64", 64, {}},          {"F4", 4, {}},
    {"F6_E2M3", 6, {}},       {"F6_E3M2", 6, {}},
};

const StoredDType* find_dtype(std::string_view name) {
  for (const StoredDType& d : kStoredDTypes)
    if (d.name == name) return &d;
  return nullptr;
}

std::string_view stored_name(DType dtype) {
  for (const StoredDType& d : kStoredDTypes)
    if (d.dtype == dtype) return d.name;
  return "?";
}

// A name from the file, fit for a message.
std::string shown(std::string_view name) {
  return name.size() <= 120 ? std::string(name) : std::string(name.substr(0, 120)) + "...";
}

// Parses the header; refuses what a DOM would hide (a name twice) or choke on (deep nesting).
Result<json> parse_header(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> names;
  std::string problem;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) names.resize(static_cast<size_t>(depth) + 1);
    if (depth > 3) problem = "values are nested too deeply";
    if (event == json::parse_event_t::key) {
      const auto& name = value.get_ref<const std::string&>();
      if (!names.back().insert(name).second) problem = fmt::format("{} twice", shown(name));
    }
    if (event == json::parse_event_t::object_end) names.resize(static_cast<size_t>(depth));
    return depth <= 3;
  };
  json header;
  try {
    header = json::parse(text, watch);
  } catch (const json::exception& error) {
    return input_error("{}: the safetensors header is not JSON: {}", where, shown(error.what()));
  }
  if (!problem.empty()) return input_error("{}: safetensors header: {}", where, problem);
  if (!header.is_object())
    return input_error("{}: the safetensors header is not a JSON object", where);
  return header;
}

// Bytes that `shape` elements of `bits` each take; nothing where that overflows or is not whole.
std::optional<uint64_t> byte_size(const std::vector<int64_t>& shape, int bits) {
  uint64_t total = static_cast<uint64_t>(bits);
  for (int64_t dim : shape)
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(dim), &total)) return std::nullopt;
  if (total % 8 != 0) return std::nullopt;
  return total / 8;
}

Result<std::vector<int64_t>> read_naturals(const json& list, size_t max_count,
                                           const std::string& where) {
  if (!list.is_array() || list.size() > max_count)
    return input_error("{}: not a list of at most {} numbers", where, max_count);
  std::vector<int64_t> values;
  for (const json& item : list) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > INT64_MAX)
      return input_error("{}: {} is not a count", where, shown(item.dump()));
    values.push_back(item.get<int64_t>());
  }
  return values;
}

// `data` is where the tensors begin in the file, `size` the file's size.
Result<SafetensorsEntry> read_entry(const json& item, uint64_t data, uint64_t size,
                                    const std::string& where) {
  if (!item.is_object() || !item.contains("dtype") || !item.contains("shape") ||
      !item.contains("data_offsets") || !item["dtype"].is_string())
    return input_error("{}: needs dtype, shape and data_offsets", where);
  SafetensorsEntry entry;
  entry.dtype = item["dtype"].get<std::string>();
  const StoredDType* stored = find_dtype(entry.dtype);
  if (stored == nullptr) return input_error("{}: unknown dtype {}", where, shown(entry.dtype));
  KVTOLL_TRY(entry.shape, read_naturals(item["shape"], kMaxRank, where + ": shape"));
  KVTOLL_TRY(const auto offsets, read_naturals(item["data_offsets"], 2, where + ": data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    return input_error("{}: data_offsets are not [begin, end]", where);
  const auto begin = static_cast<uint64_t>(offsets[0]), end = static_cast<uint64_t>(offsets[1]);
  if (end > size - data)
    return input_error(
        "{}: its bytes end at {}, but the file holds only {} bytes of tensors; the file is "
        "truncated or damaged: fetch it again",
        where, end, size - data);
  if (byte_size(entry.shape, stored->bits) != end - begin)
    return input_error("{}: {} bytes do not fit dtype {} and shape [{}]", where, end - begin,
                       entry.dtype, fmt::join(entry.shape, ", "));
  entry.begin = data + begin;
  entry.end = data + end;
  return entry;
}

// The tensors must tile the data without overlap or hole, as the format demands.
Result<void> check_tiling(const std::map<std::string, SafetensorsEntry, std::less<>>& entries,
                          uint64_t data, uint64_t size, const std::string& where) {
  std::vector<std::pair<const SafetensorsEntry*, const std::string*>> order;
  for (const auto& [name, entry] : entries) order.emplace_back(&entry, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  uint64_t next = data;
  for (const auto& [entry, name] : order) {
    if (entry->begin != next)
      return input_error("{}: {}: its bytes {} the tensor before it; the file is damaged", where,
                         shown(*name), entry->begin < next ? "overlap" : "leave a hole after");
    next = entry->end;
  }
  if (next != size)
    return input_error("{}: {} bytes after the last tensor belong to none; the file is damaged",
                       where, size - next);
  return {};
}

Shape view_shape(const std::vector<int64_t>& dims) {
  Shape shape;
  for (int64_t d : dims) shape.dims[static_cast<size_t>(shape.rank++)] = d;
  return shape;
}

}  // namespace

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::open(
    const std::filesystem::path& path) {
  const std::string where = path.string();
  std::shared_ptr<SafetensorsFile> out(new SafetensorsFile);
  KVTOLL_TRY(out->file_, MappedFile::open(path));
  const auto bytes = out->file_->bytes();
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (start.starts_with("version https://git-lfs"))
    return input_error("{}: a Git LFS pointer, not the file itself; run git lfs pull there", where);
  if (bytes.size() < 8)
    return input_error("{}: {} bytes are too few for a safetensors file", where, bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  if (length > kMaxHeader || length > bytes.size() - 8)
    return input_error(
        "{}: its header claims {} bytes, but the file has {}; it is truncated or not a "
        "safetensors file: fetch it again",
        where, length, bytes.size());
  KVTOLL_TRY(const json header,
             parse_header({reinterpret_cast<const char*>(bytes.data()) + 8, length}, where));
  const uint64_t data = 8 + length;
  for (const auto& [name, item] : header.items()) {
    if (name == "__metadata__") {
      if (!item.is_object()) return input_error("{}: __metadata__ is not an object", where);
      for (const auto& [key, value] : item.items())
        out->metadata_[key] = value.is_string() ? value.get<std::string>() : value.dump();
      continue;
    }
    KVTOLL_TRY(SafetensorsEntry entry,
               read_entry(item, data, bytes.size(), where + ": " + shown(name)));
    const auto width = static_cast<uint64_t>(find_dtype(entry.dtype)->bits / 8);
    if (width > 1 && entry.begin % width != 0) {
      auto& copy = out->realigned_[name];
      copy.resize((entry.end - entry.begin + 7) / 8);
      std::memcpy(copy.data(), bytes.data() + entry.begin, entry.end - entry.begin);
    }
    out->entries_.emplace(name, std::move(entry));
  }
  KVTOLL_TRY_VOID(check_tiling(out->entries_, data, bytes.size(), where));
  return out;
}

Result<TensorView> SafetensorsFile::tensor(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return input_error("{}: no tensor {}", path().string(), shown(name));
  const SafetensorsEntry& entry = found->second;
  const auto dtype = find_dtype(entry.dtype)->dtype;
  if (!dtype || entry.shape.size() > 4)
    return input_error("{}: {}: dtype {} with {} dimensions is not supported", path().string(),
                       shown(name), entry.dtype, entry.shape.size());
  const auto copy = realigned_.find(name);
  const void* data = copy != realigned_.end() ? static_cast<const void*>(copy->second.data())
                                              : file_->bytes().data() + entry.begin;
  return TensorView{data, *dtype, view_shape(entry.shape)};
}

Result<void> write_safetensors(const std::filesystem::path& path,
                               std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& t : tensors) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return dtype_size(a->view.dtype) > dtype_size(b->view.dtype);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const NamedTensor* t : order) {
    KVTOLL_CHECK(!header.contains(t->name), "tensor {} twice", t->name);
    const auto& dims = t->view.shape.dims;
    header[t->name] = {
        {"dtype", stored_name(t->view.dtype)},
        {"shape", std::vector<int64_t>(dims.begin(), dims.begin() + t->view.shape.rank)},
        {"data_offsets", {offset, offset + t->view.bytes().value}}};
    offset += t->view.bytes().value;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string content(reinterpret_cast<const char*>(&length), 8);
  content.reserve(8 + text.size() + static_cast<size_t>(offset));
  content += text;
  for (const NamedTensor* t : order)
    content.append(static_cast<const char*>(t->view.data),
                   static_cast<size_t>(t->view.bytes().value));
  return write_file_atomic(path, content);
}

}  // namespace kvtoll
