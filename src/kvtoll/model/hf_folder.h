// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A folder in Hugging Face layout: config.json, generation_config.json, and the weights in one
// *.safetensors file or in shards with model.safetensors.index.json. All files stay mapped.
// Example: KVTOLL_TRY(auto checkpoint, open_hf_folder(model_path, "some/folder"));
#pragma once

#include <memory>
#include <string>

#include "kvtoll/model/checkpoint.h"
#include "kvtoll/model/model_path.h"

namespace kvtoll {

// source: what the user wrote, for records. A folder with config.json and no weights opens without
// weights. Errors: kInput naming file and tensor: bad config, missing shard, missing tensor, wrong
// shape, a dtype that is no fp32, fp16 or bf16.
Result<std::shared_ptr<const Checkpoint>> open_hf_folder(const ModelPath& model,
                                                         const std::string& source);

}  // namespace kvtoll
