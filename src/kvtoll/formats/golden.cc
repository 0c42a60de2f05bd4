// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/golden.h"

#include <cmath>
#include <cstring>
#include <functional>

#include "kvtoll/core/safetensors.h"
#include "kvtoll/formats/kv_store.h"

namespace kvtoll {
namespace {

using Path = std::filesystem::path;

struct Golden {
  std::vector<float> input, dequantized, scale, offset;
  std::vector<uint8_t> codes, packed;
  Shape input_shape;
  std::string scale_name, offset_name;
};

Result<TensorView> tensor_of(const SafetensorsFile& file, std::string_view name, DType dtype,
                             int64_t elements) {
  KVTOLL_TRY(const TensorView view, file.tensor(name));
  if (view.dtype != dtype)
    return input_error("{}: tensor '{}' is {}, expected {}; write it with tools/golden_formats.py",
                       file.path().string(), name, dtype_name(view.dtype), dtype_name(dtype));
  if (view.shape.elements() != elements)
    return input_error("{}: tensor '{}' has {} elements, expected {}", file.path().string(), name,
                       view.shape.elements(), elements);
  return view;
}

Result<std::vector<float>> floats_of(const SafetensorsFile& file, std::string_view name,
                                     DType dtype, int64_t elements) {
  KVTOLL_TRY(const TensorView view, tensor_of(file, name, dtype, elements));
  std::vector<float> values(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i) values[i] = view.at(i);
  return values;
}

Result<std::vector<uint8_t>> bytes_of(const SafetensorsFile& file, std::string_view name,
                                      DType dtype, int64_t elements) {
  KVTOLL_TRY(const TensorView view, tensor_of(file, name, dtype, elements));
  std::vector<uint8_t> bytes(static_cast<size_t>(view.bytes().value));
  if (!bytes.empty()) std::memcpy(bytes.data(), view.data, bytes.size());
  return bytes;
}

Result<KvFormat> format_of(const SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const auto version = metadata.find("kvtoll_golden"), format = metadata.find("format");
  if (version == metadata.end() || format == metadata.end())
    return input_error(
        "{}: no golden tensors: its metadata lacks 'kvtoll_golden' and 'format'; write it with "
        "tools/golden_formats.py",
        file.path().string());
  if (version->second != "1")
    return input_error("{}: golden tensors of version '{}'; this program reads version 1",
                       file.path().string(), version->second);
  auto parsed = KvFormat::parse(format->second);
  if (!parsed) return input_error("{}: {}", file.path().string(), parsed.error().message);
  if (!parsed->quantized())
    return input_error("{}: format '{}' is not quantized: nothing to compare", file.path().string(),
                       format->second);
  return *parsed;
}

Result<KvShape> shape_of(const SafetensorsFile& file, const Shape& shape) {
  const int skip = shape.rank == 4 && shape[0] == 1 ? 1 : 0;
  if (shape.rank - skip != 3 || shape.elements() == 0)
    return input_error("{}: tensor 'input' has shape {}, expected [kv_head, pos, dim]",
                       file.path().string(), shape.to_string());
  return KvShape{shape[skip], shape[skip + 1], shape[skip + 2]};
}

std::string index_of(int64_t i, int64_t cols) {
  return cols > 0 ? fmt::format("[{}, {}]", i / cols, i % cols) : fmt::format("[{}]", i);
}

std::string index_of(int64_t i, const KvShape& shape) {
  return fmt::format("[{}, {}, {}]", i / (shape.tokens * shape.dim), i / shape.dim % shape.tokens,
                     i % shape.dim);
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

using IndexName = std::function<std::string(int64_t)>;

// skip: numbers that are not compared (empty: none).
template <class T>
void compare(GoldenVerdict& verdict, std::string_view tensor, const std::vector<T>& expected,
             const std::vector<T>& got, const IndexName& index,
             const std::vector<uint8_t>& skip = {}) {
  GoldenDifference difference{.tensor = std::string(tensor)};
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!skip.empty() && skip[i]) continue;
    ++difference.of;
    const float want = static_cast<float>(expected[i]), have = static_cast<float>(got[i]);
    if (same(want, have)) continue;
    if (difference.count++ == 0) {
      difference.index = index(static_cast<int64_t>(i));
      difference.expected = want;
      difference.got = have;
    }
  }
  verdict.compared += difference.of;
  if (difference.count > 0) verdict.differences.push_back(std::move(difference));
}

// 1 where the library's code has no defined value: a NaN, or 0/0 in a group of range zero (quanto).
std::vector<uint8_t> undefined_codes(const GoldenVerdict& verdict, const GroupLayout& layout,
                                     const Golden& golden) {
  std::vector<uint8_t> undefined(golden.codes.size(), 0);
  const bool quanto = verdict.format.scheme == KvScheme::kQuanto;
  // The group's numbers as the encoder sees them; a NaN of HQQ's zero comes from a NaN in it.
  for (size_t i = 0; i < undefined.size(); ++i) {
    const int64_t r = static_cast<int64_t>(i) / layout.cols;
    const int64_t c = static_cast<int64_t>(i) % layout.cols;
    const size_t group = static_cast<size_t>(layout.kind == GroupLayout::kRow ? r : c);
    const float scale = golden.scale[group], offset = golden.offset[group];
    const bool no_number = !std::isfinite(scale) || !std::isfinite(offset);
    undefined[i] = no_number || (quanto && scale == 0.0f) ? 1 : 0;
  }
  return undefined;
}

// Bytes of the payload that hold an undefined code.
std::vector<uint8_t> undefined_bytes(const KvFormat& format, const GroupLayout& layout,
                                     const std::vector<uint8_t>& undefined, size_t bytes) {
  Quantized flags{.rows = layout.rows, .cols = layout.cols};
  for (uint8_t flag : undefined) flags.codes.push_back(flag ? (1 << format.bits) - 1 : 0);
  std::vector<uint8_t> skip = kv_pack(format, flags);
  skip.resize(bytes);
  if (format.bits == 3)  // an int32 holds ten codes
    for (size_t i = 0; i + 4 <= skip.size(); i += 4)
      skip[i] = skip[i + 1] = skip[i + 2] = skip[i + 3] =
          skip[i] | skip[i + 1] | skip[i + 2] | skip[i + 3];
  return skip;
}

Result<Golden> read(const SafetensorsFile& file, const KvFormat& format, DType dtype,
                    const KvShape& shape, const GroupLayout& layout) {
  Golden golden;
  const bool quanto = format.scheme == KvScheme::kQuanto;
  golden.scale_name = quanto ? "scale" : "step";
  golden.offset_name = quanto ? "shift" : "zero";
  const int64_t n = shape.elements();
  KVTOLL_TRY(golden.input, floats_of(file, "input", dtype, n));
  KVTOLL_TRY(golden.dequantized, floats_of(file, "dequantized", dtype, n));
  KVTOLL_TRY(golden.scale, floats_of(file, golden.scale_name, dtype, layout.groups()));
  KVTOLL_TRY(golden.offset, floats_of(file, golden.offset_name, dtype, layout.groups()));
  KVTOLL_TRY(golden.codes, bytes_of(file, "codes", DType::kU8, n));
  const int64_t packed = kv_packed_bytes(format, layout.rows, layout.cols);
  const bool words = !quanto && format.bits == 3;
  KVTOLL_TRY(golden.packed, bytes_of(file, "packed", words ? DType::kI32 : DType::kU8,
                                     words ? packed / 4 : packed));
  return golden;
}

// What a cache of this project reads back.
Result<std::vector<float>> stored(const GoldenVerdict& verdict, const std::vector<float>& input) {
  const KvShape& shape = verdict.shape;
  auto store = make_kv_store(verdict.format, verdict.dtype, static_cast<int>(shape.kv_heads),
                             static_cast<int>(shape.dim));
  KVTOLL_TRY_VOID(store->replace(input, static_cast<int>(shape.tokens)));
  std::vector<float> values(input.size());
  const size_t per_head = static_cast<size_t>(shape.tokens * shape.dim);
  for (int64_t h = 0; h < shape.kv_heads; ++h)
    store->decode_head(static_cast<int>(h), {values.data() + h * per_head, per_head});
  return values;
}

Result<void> compare_all(GoldenVerdict& verdict, const GroupLayout& layout, const Golden& golden) {
  const KvShape& shape = verdict.shape;
  KVTOLL_TRY(const Quantized ours, kv_encode(verdict.format, verdict.dtype, golden.input, shape));
  const std::vector<uint8_t> undefined = undefined_codes(verdict, layout, golden);
  for (uint8_t flag : undefined) verdict.undefined_codes += flag;
  const IndexName by_group = [](int64_t i) { return index_of(i, 0); };
  const IndexName by_cell = [&](int64_t i) { return index_of(i, layout.cols); };
  const IndexName by_value = [&](int64_t i) { return index_of(i, shape); };

  compare(verdict, golden.scale_name, golden.scale, ours.scale, by_group);
  compare(verdict, golden.offset_name, golden.offset, ours.offset, by_group);
  compare(verdict, "codes", golden.codes, ours.codes, by_cell, undefined);
  const std::vector<uint8_t> packed = kv_pack(verdict.format, ours);
  compare(verdict, "packed", golden.packed, packed, by_group,
          undefined_bytes(verdict.format, layout, undefined, packed.size()));
  std::vector<float> values(golden.input.size());
  kv_decode(verdict.format, verdict.dtype, ours, shape, values);
  compare(verdict, "dequantized", golden.dequantized, values, by_value);
  KVTOLL_TRY(values, stored(verdict, golden.input));
  compare(verdict, "dequantized (read from the store)", golden.dequantized, values, by_value);
  return {};
}

std::string known_reason(const GoldenVerdict& verdict) {
  if (verdict.equal() || verdict.format.scheme != KvScheme::kHqq ||
      verdict.format.solver != HqqSolver::kFp32 || verdict.dtype != DType::kF32)
    return "";
  return "with an fp32 cache and solver=fp32 the last bit of |e|^-0.3 shows: torch's vectorised "
         "powf "
         "is within 1 ulp, ours is correctly rounded; a few zeros may differ in the last bits";
}

}  // namespace

Result<GoldenVerdict> verify_golden(const Path& path) {
  KVTOLL_TRY(const auto file, SafetensorsFile::open(path));
  GoldenVerdict verdict;
  verdict.metadata = file->metadata();
  KVTOLL_TRY(verdict.format, format_of(*file));
  KVTOLL_TRY(const TensorView input, file->tensor("input"));
  verdict.dtype = input.dtype;
  if (input.dtype != DType::kF16 && input.dtype != DType::kBF16 && input.dtype != DType::kF32)
    return input_error("{}: tensor 'input' is {}, expected fp16, bf16 or fp32", path.string(),
                       dtype_name(input.dtype));
  KVTOLL_TRY(verdict.shape, shape_of(*file, input.shape));
  const auto layout = kv_group_layout(verdict.format, verdict.shape);
  if (!layout) return input_error("{}: {}", path.string(), layout.error().message);
  KVTOLL_TRY(const Golden golden,
             read(*file, verdict.format, verdict.dtype, verdict.shape, *layout));
  KVTOLL_TRY_VOID(compare_all(verdict, *layout, golden));
  verdict.note = known_reason(verdict);
  return verdict;
}

}  // namespace kvtoll
