// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a --model argument points to: a folder, a GGUF file, a snapshot in the local hub cache, or a
// built-in geometry. Used by open_checkpoint and open_tokenizer alike.
// Example: KVTOLL_TRY(auto where, resolve_model("Qwen/Qwen2.5-7B-Instruct"));
#pragma once

#include <filesystem>
#include <string>

#include "kvtoll/core/result.h"

namespace kvtoll {

enum class ModelSource : uint8_t { kFolder, kGguf, kSynthetic };

struct ModelPath {
  ModelSource source = ModelSource::kFolder;
  std::filesystem::path path;  // the folder or the .gguf file; empty for kSynthetic
  std::string name;            // short, for records: "Qwen2.5-7B-Instruct"
};

// spec: FOLDER, FILE.gguf, ORG/NAME[@REVISION] in the hub cache, or synthetic:GEOMETRY[:seed=N].
// The hub cache is $HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or
// ~/.cache/huggingface/hub, the first that is set. Nothing is downloaded. Errors: kInput with the
// places that were tried.
Result<ModelPath> resolve_model(const std::string& spec);

}  // namespace kvtoll
