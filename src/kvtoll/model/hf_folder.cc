// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/hf_folder.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/core/safetensors.h"
#include "kvtoll/model/config_json.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
constexpr const char* kIndex = "model.safetensors.index.json";

// The name within a layer ("self_attn.q_proj.weight"), or within the model.
std::string_view local_name(WeightRole role) {
  constexpr std::string_view kNames[] = {"embed_tokens.weight",
                                         "norm.weight",
                                         "lm_head.weight",
                                         "input_layernorm.weight",
                                         "self_attn.q_proj.weight",
                                         "self_attn.k_proj.weight",
                                         "self_attn.v_proj.weight",
                                         "self_attn.q_proj.bias",
                                         "self_attn.k_proj.bias",
                                         "self_attn.v_proj.bias",
                                         "self_attn.q_norm.weight",
                                         "self_attn.k_norm.weight",
                                         "self_attn.o_proj.weight",
                                         "self_attn.o_proj.bias",
                                         "post_attention_layernorm.weight",
                                         "mlp.gate_proj.weight",
                                         "mlp.up_proj.weight",
                                         "mlp.down_proj.weight",
                                         "mlp.gate_proj.bias",
                                         "mlp.up_proj.bias",
                                         "mlp.down_proj.bias"};
  return kNames[static_cast<size_t>(role)];
}

std::string tensor_name(const ModelConfig& config, WeightRole role, int layer) {
  if (role == WeightRole::kLmHead && !config.tied_embeddings) return "lm_head.weight";
  if (role == WeightRole::kLmHead) role = WeightRole::kEmbedding;
  if (layer < 0) return fmt::format("model.{}", local_name(role));
  return fmt::format("model.layers.{}.{}", layer, local_name(role));
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

using File = std::shared_ptr<const SafetensorsFile>;

class HfFolder final : public Checkpoint {
 public:
  HfFolder(ModelConfig config, std::string source, std::string folder, std::vector<File> files)
      : folder_(std::move(folder)), files_(std::move(files)) {
    config_ = std::move(config);
    source_ = std::move(source);
  }

  bool has_weights() const override { return !files_.empty(); }
  std::string weights_problem() const override {
    if (has_weights()) return {};
    return "the folder has config.json but no *.safetensors; download the weights too, or convert "
           "pytorch_model.bin to safetensors";
  }

  Result<HostTensor> tensor(WeightRole role, int layer, DType) const override {
    KVTOLL_TRY_VOID(require_weights(*this));
    const std::string name = tensor_name(config_, role, layer);
    KVTOLL_TRY(const File file, find(name));
    const std::string key(stored_name(name));
    KVTOLL_TRY(const TensorView view, file->tensor(key));
    const Shape want = weight_shape(config_, role);
    if (view.shape != want)
      return input_error("{}: {} has shape {}, config.json asks for {}", file->path().string(), key,
                         view.shape.to_string(), want.to_string());
    if (!is_float(view.dtype))
      return input_error("{}: {} has dtype {}; fp32, fp16 or bf16 is needed", file->path().string(),
                         key, dtype_name(view.dtype));
    return HostTensor{view, file};
  }

  std::vector<StoredType> stored_types() const override {
    std::map<std::string, StoredType> by_name;
    for (const auto& [name, file] : home_) {
      const SafetensorsEntry& stored = file->entries().find(name)->second;
      StoredType& entry = by_name[stored.dtype];
      entry.name = stored.dtype;
      ++entry.tensors;
      entry.bytes += Bytes(static_cast<int64_t>(stored.end - stored.begin));
    }
    std::vector<StoredType> out;
    for (auto& [name, entry] : by_name) out.push_back(std::move(entry));
    std::sort(out.begin(), out.end(),
              [](const StoredType& a, const StoredType& b) { return a.bytes > b.bytes; });
    return out;
  }

  Result<void> map_tensors() {
    for (const File& file : files_)
      for (const auto& [name, entry] : file->entries())
        if (const auto [at, added] = home_.emplace(name, file); !added)
          return input_error("{}: {} is also in {}", file->path().string(), name,
                             at->second->path().filename().string());
    return {};
  }

  // Every tensor that the config asks for, and the dtype that most bytes have.
  Result<void> check_all() {
    std::array<int64_t, 3> bytes{};
    for (int layer = -1; layer < config_.layers; ++layer)
      for (WeightRole role : weight_roles(config_, layer)) {
        KVTOLL_TRY(const HostTensor t, tensor(role, layer, DType::kF16));
        bytes[static_cast<size_t>(t.view.dtype)] += t.view.bytes().value;
      }
    static_assert(static_cast<int>(DType::kBF16) == 2);
    dtype_ = static_cast<DType>(std::max_element(bytes.begin(), bytes.end()) - bytes.begin());
    return {};
  }

 private:
  // A base model saved alone has its names without "model.".
  std::string_view stored_name(const std::string& name) const {
    std::string_view bare = name;
    if (home_.find(name) == home_.end() && bare.starts_with("model.")) bare.remove_prefix(6);
    return bare;
  }
  Result<File> find(const std::string& name) const {
    const auto at = home_.find(stored_name(name));
    if (at != home_.end()) return at->second;
    return input_error("{}: no tensor {}; the checkpoint is incomplete or of another family",
                       folder_, name);
  }

  std::string folder_;
  std::vector<File> files_;
  std::map<std::string, File, std::less<>> home_;  // tensor to file
};

// The shards that the index names, in order.
Result<std::set<std::string>> read_index(const fs::path& path) {
  using nlohmann::json;
  KVTOLL_TRY(const std::string text, read_file(path));
  const json index = json::parse(text, nullptr, false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return input_error("{}: not a safetensors index (JSON with a weight_map)", path.string());
  std::set<std::string> shards;
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!file.is_string() || fs::path(file.get<std::string>()).has_parent_path())
      return input_error("{}: the file of {} is not a name", path.string(), name);
    shards.insert(file.get<std::string>());
  }
  return shards;
}

Result<std::vector<File>> open_files(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code ec;
  if (fs::exists(folder / "model.safetensors", ec)) {
    names.insert("model.safetensors");
  } else if (fs::exists(folder / kIndex, ec)) {
    KVTOLL_TRY(names, read_index(folder / kIndex));
  } else {
    for (const auto& entry : fs::directory_iterator(folder, ec))
      if (entry.path().extension() == ".safetensors")
        names.insert(entry.path().filename().string());
  }
  std::vector<File> files;
  for (const std::string& name : names) {
    if (!fs::exists(folder / name, ec))
      return input_error("{}: the shard {} that {} names is missing; download it", folder.string(),
                         name, kIndex);
    KVTOLL_TRY(File file, SafetensorsFile::open(folder / name));
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

Result<std::shared_ptr<const Checkpoint>> open_hf_folder(const ModelPath& model,
                                                         const std::string& source) {
  const fs::path config_path = model.path / "config.json";
  std::error_code ec;
  if (!fs::exists(config_path, ec))
    return input_error(
        "{}: no config.json; a folder in Hugging Face layout has one (a .gguf file is passed "
        "itself)",
        model.path.string());
  KVTOLL_TRY(const std::string text, read_file(config_path));
  std::string generation;
  if (fs::exists(model.path / "generation_config.json", ec)) {
    KVTOLL_TRY(generation, read_file(model.path / "generation_config.json"));
  }
  KVTOLL_TRY(ModelConfig config, parse_config_json(text, generation, config_path.string()));
  config.name = model.name;
  KVTOLL_TRY(std::vector<File> files, open_files(model.path));
  auto checkpoint =
      std::make_shared<HfFolder>(std::move(config), source, model.path.string(), std::move(files));
  KVTOLL_TRY_VOID(checkpoint->map_tensors());
  if (checkpoint->has_weights()) KVTOLL_TRY_VOID(checkpoint->check_all());
  return checkpoint;
}

}  // namespace kvtoll
