// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Layout (GGUF 2 and 3, little-endian): "GGUF", u32 version, u64 tensors, u64 keys; keys: string,
// u32 kind, value; tensors: string, u32 rank, u64 dims (innermost first), u32 type, u64 offset;
// padding to general.alignment; data.
#include "kvtoll/model/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

namespace kvtoll {
namespace {

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},
    {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
    {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},
    {25, "I16", 1, 2},        {26, "I32", 1, 4},        {27, "I64", 1, 8},
    {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},
    {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

constexpr uint64_t kMaxDim = 1ull << 40;  // any product of four block counts is checked anyway
constexpr uint32_t kMaxRank = 4;

// Metadata kinds of the format.
enum Kind : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

int kind_size(uint32_t kind) {
  switch (kind) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
      return 8;
    case kString:
      return 8;  // at least its length
    default:
      return 0;
  }
}

std::string shown(std::string_view name) {
  return fmt::format("{}{}", name.substr(0, 120), name.size() > 120 ? "..." : "");
}

// Reads forward through the bytes; every read is checked against the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }
  const std::string& where() const { return where_; }

  template <class T>
  Result<T> number() {
    if (left() < sizeof(T)) return ended();
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  Result<std::string_view> string() {
    KVTOLL_TRY(const uint64_t length, number<uint64_t>());
    if (length > left()) {
      return input_error(
          "{}: a string at byte {} claims {} bytes, but {} are left; the file is "
          "truncated or damaged",
          where_, position_ - 8, length, left());
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return text;
  }
  tl::unexpected<Error> ended() const {
    return input_error(
        "{}: the file ends at byte {} inside its header; it is truncated: fetch it "
        "again",
        where_, bytes_.size());
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  uint64_t position_ = 0;
};

template <class T, class As>
Result<As> read_as(Cursor& in) {
  KVTOLL_TRY(const T value, in.number<T>());
  return static_cast<As>(value);
}

Result<int64_t> read_integer(Cursor& in, uint32_t kind) {
  switch (kind) {
    case kU8:
    case kBool:
      return read_as<uint8_t, int64_t>(in);
    case kI8:
      return read_as<int8_t, int64_t>(in);
    case kU16:
      return read_as<uint16_t, int64_t>(in);
    case kI16:
      return read_as<int16_t, int64_t>(in);
    case kU32:
      return read_as<uint32_t, int64_t>(in);
    case kI32:
      return read_as<int32_t, int64_t>(in);
    default: {
      KVTOLL_TRY(const int64_t value, in.number<int64_t>());
      if (kind == kU64 && value < 0)
        return input_error("{}: the number before byte {} is over 2^63", in.where(), in.position());
      return value;
    }
  }
}

Result<double> read_float(Cursor& in, uint32_t kind) {
  return kind == kF32 ? read_as<float, double>(in) : in.number<double>();
}

template <class T, class Read>
Result<GgufValue> read_list(uint64_t count, const Read& read) {
  std::vector<T> values;
  values.reserve(count);  // bounded: the caller checked count against the bytes left
  for (uint64_t i = 0; i < count; ++i) {
    KVTOLL_TRY(T value, read());
    values.push_back(value);
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> read_array(Cursor& in, std::string_view key) {
  KVTOLL_TRY(const uint32_t kind, in.number<uint32_t>());
  KVTOLL_TRY(const uint64_t count, in.number<uint64_t>());
  const int size = kind_size(kind);
  if (size == 0)
    return input_error("{}: key {}: arrays of kind {} are not supported", in.where(), shown(key),
                       kind);
  if (count > in.left() / static_cast<uint64_t>(size))
    return input_error(
        "{}: key {}: claims {} elements, but only {} bytes are left; the file is "
        "truncated or damaged",
        in.where(), shown(key), count, in.left());
  if (kind == kString) return read_list<std::string_view>(count, [&] { return in.string(); });
  if (kind == kF32 || kind == kF64)
    return read_list<double>(count, [&] { return read_float(in, kind); });
  return read_list<int64_t>(count, [&] { return read_integer(in, kind); });
}

Result<GgufValue> read_value(Cursor& in, std::string_view key) {
  KVTOLL_TRY(const uint32_t kind, in.number<uint32_t>());
  switch (kind) {
    case kString: {
      KVTOLL_TRY(const std::string_view text, in.string());
      return GgufValue(text);
    }
    case kArray:
      return read_array(in, key);
    case kBool: {
      KVTOLL_TRY(const uint8_t value, in.number<uint8_t>());
      return GgufValue(value != 0);
    }
    case kF32:
    case kF64: {
      KVTOLL_TRY(const double value, read_float(in, kind));
      return GgufValue(value);
    }
    default:
      break;
  }
  if (kind_size(kind) == 0)
    return input_error("{}: key {} has unknown kind {}", in.where(), shown(key), kind);
  KVTOLL_TRY(const int64_t value, read_integer(in, kind));
  return GgufValue(value);
}

// Name, rank, dims, type and offset; `begin` is relative to the data, `end` its size for now.
Result<std::pair<std::string_view, GgufTensor>> read_tensor(Cursor& in) {
  KVTOLL_TRY(const std::string_view name, in.string());
  const std::string where = fmt::format("{}: tensor {}", in.where(), shown(name));
  KVTOLL_TRY(const uint32_t rank, in.number<uint32_t>());
  if (rank < 1 || rank > kMaxRank) return input_error("{}: has {} dimensions", where, rank);
  GgufTensor tensor;
  tensor.shape.rank = static_cast<int>(rank);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    KVTOLL_TRY(const uint64_t dim, in.number<uint64_t>());
    if (dim < 1 || dim > kMaxDim || __builtin_mul_overflow(elements, dim, &elements))
      return input_error("{}: a dimension is {}", where, dim);
    tensor.shape.dims[rank - 1 - i] = static_cast<int64_t>(dim);
  }
  KVTOLL_TRY(const uint32_t type, in.number<uint32_t>());
  KVTOLL_TRY(tensor.begin, in.number<uint64_t>());
  tensor.type = find_gguf_type(type);
  if (tensor.type == nullptr) return input_error("{}: unknown type {}", where, type);
  const auto block = static_cast<uint64_t>(tensor.type->block);
  if (static_cast<uint64_t>(tensor.shape[static_cast<int>(rank) - 1]) % block != 0)
    return input_error("{}: rows of {} elements are not whole blocks of {} ({})", where,
                       tensor.shape[static_cast<int>(rank) - 1], block, tensor.type->name);
  if (__builtin_mul_overflow(elements / block, static_cast<uint64_t>(tensor.type->block_bytes),
                             &tensor.end) ||
      tensor.end > static_cast<uint64_t>(INT64_MAX))
    return input_error("{}: {} elements overflow", where, elements);
  return std::pair(name, tensor);
}

Result<void> check_overlap(const std::map<std::string_view, GgufTensor>& tensors,
                           const std::string& where) {
  std::vector<std::pair<const GgufTensor*, std::string_view>> order;
  for (const auto& [name, tensor] : tensors) order.emplace_back(&tensor, name);
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.first->begin < b.first->begin; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i].first->begin < order[i - 1].first->end)
      return input_error("{}: tensors {} and {} overlap; the file is damaged", where,
                         shown(order[i - 1].second), shown(order[i].second));
  return {};
}

struct Counts {
  uint64_t tensors, keys;
};

Result<Counts> read_preamble(Cursor& in) {
  KVTOLL_TRY(const uint32_t magic, in.number<uint32_t>());
  if (magic != 0x46554747u)  // "GGUF"
    return input_error("{}: not a GGUF file (its first bytes are not GGUF)", in.where());
  KVTOLL_TRY(const uint32_t version, in.number<uint32_t>());
  if (version != 2 && version != 3)
    return input_error(
        "{}: GGUF version {}; 2 and 3 (little-endian) can be read: convert the model "
        "again",
        in.where(), version);
  Counts counts{};
  KVTOLL_TRY(counts.tensors, in.number<uint64_t>());
  KVTOLL_TRY(counts.keys, in.number<uint64_t>());
  // The shortest key takes 13 bytes, the shortest tensor 32.
  if (counts.keys > in.left() / 13 || counts.tensors > in.left() / 32)
    return input_error(
        "{}: claims {} keys and {} tensors, more than its {} bytes can hold; the "
        "file is truncated or damaged",
        in.where(), counts.keys, counts.tensors, in.left());
  return counts;
}

}  // namespace

const GgufType* find_gguf_type(uint32_t id) {
  for (const GgufType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::filesystem::path& path) {
  static_assert(std::endian::native == std::endian::little);
  std::shared_ptr<GgufFile> out(new GgufFile);
  KVTOLL_TRY(out->file_, MappedFile::open(path));
  const auto bytes = out->file_->bytes();
  const std::string where = path.string();
  Cursor in(bytes, where);
  KVTOLL_TRY(const Counts counts, read_preamble(in));
  for (uint64_t i = 0; i < counts.keys; ++i) {
    KVTOLL_TRY(const std::string_view key, in.string());
    KVTOLL_TRY(GgufValue value, read_value(in, key));
    if (!out->metadata_.emplace(key, std::move(value)).second)
      return input_error("{}: key {} twice; the file is damaged", where, shown(key));
  }
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    KVTOLL_TRY(auto named, read_tensor(in));
    if (!out->tensors_.insert(named).second)
      return input_error("{}: tensor {} twice; the file is damaged", where, shown(named.first));
  }
  KVTOLL_TRY(const int64_t alignment, out->integer("general.alignment", 32));
  if (alignment < 8 || alignment > (1 << 20) || alignment % 8 != 0)
    return input_error("{}: general.alignment is {}, must be a multiple of 8", where, alignment);
  const auto align = static_cast<uint64_t>(alignment);
  const uint64_t data = (in.position() + align - 1) / align * align;
  out->needed_bytes_ = in.position();
  for (auto& [name, tensor] : out->tensors_) {
    const uint64_t size = tensor.end;
    if (tensor.begin % align != 0)
      return input_error("{}: tensor {}: offset {} is not a multiple of {}", where, shown(name),
                         tensor.begin, align);
    if (__builtin_add_overflow(tensor.begin, data, &tensor.begin) ||
        __builtin_add_overflow(tensor.begin, size, &tensor.end))
      return input_error("{}: tensor {}: its offset overflows", where, shown(name));
    if (tensor.end <= bytes.size()) tensor.blocks = bytes.subspan(tensor.begin, size);
    out->needed_bytes_ = std::max(out->needed_bytes_, tensor.end);
  }
  KVTOLL_TRY_VOID(check_overlap(out->tensors_, where));
  return out;
}

namespace {

template <class T>
const T* find_as(const std::map<std::string_view, GgufValue>& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

Result<int64_t> GgufFile::integer(std::string_view key) const {
  if (!contains(key)) return input_error("{}: key {} is missing", path().string(), key);
  return integer(key, 0);
}

Result<int64_t> GgufFile::integer(std::string_view key, int64_t fallback) const {
  if (!contains(key)) return fallback;
  if (const auto* value = find_as<int64_t>(metadata_, key)) return *value;
  return input_error("{}: key {} is not a whole number", path().string(), key);
}

Result<double> GgufFile::number(std::string_view key, double fallback) const {
  if (!contains(key)) return fallback;
  if (const auto* value = find_as<double>(metadata_, key)) return *value;
  if (const auto* value = find_as<int64_t>(metadata_, key)) return static_cast<double>(*value);
  return input_error("{}: key {} is not a number", path().string(), key);
}

Result<bool> GgufFile::boolean(std::string_view key, bool fallback) const {
  if (!contains(key)) return fallback;
  if (const auto* value = find_as<bool>(metadata_, key)) return *value;
  return input_error("{}: key {} is not true or false", path().string(), key);
}

Result<std::string_view> GgufFile::text(std::string_view key) const {
  if (!contains(key)) return input_error("{}: key {} is missing", path().string(), key);
  if (const auto* value = find_as<std::string_view>(metadata_, key)) return *value;
  return input_error("{}: key {} is not a string", path().string(), key);
}

const std::vector<std::string_view>* GgufFile::find_strings(std::string_view key) const {
  return find_as<std::vector<std::string_view>>(metadata_, key);
}

const std::vector<int64_t>* GgufFile::find_integers(std::string_view key) const {
  return find_as<std::vector<int64_t>>(metadata_, key);
}

const std::vector<double>* GgufFile::find_numbers(std::string_view key) const {
  return find_as<std::vector<double>>(metadata_, key);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace kvtoll
