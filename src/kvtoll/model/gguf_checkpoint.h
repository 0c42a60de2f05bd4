// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A GGUF file as a checkpoint: geometry from its metadata, weights by role, quantized blocks
// decoded and Llama's permuted q and k rows put back in Hugging Face's order. Example:
// KVTOLL_TRY(auto checkpoint, open_gguf_checkpoint(model_path));
#pragma once

#include <memory>

#include "kvtoll/model/checkpoint.h"
#include "kvtoll/model/model_path.h"

namespace kvtoll {

// Architectures llama, qwen2, qwen3. A file that ends before its weights opens without weights.
// Errors: kInput naming file, key or tensor.
Result<std::shared_ptr<const Checkpoint>> open_gguf_checkpoint(const ModelPath& model);

}  // namespace kvtoll
