// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// GGUF metadata to ModelConfig. What we would compute differently from the file's intent (experts,
// a sliding window, another rope scaling) is an error, never ignored.
// Example: KVTOLL_TRY(auto config, gguf_config(*file));
#pragma once

#include "kvtoll/model/config.h"
#include "kvtoll/model/gguf.h"

namespace kvtoll {

// Needs the metadata and the tensor table, not the tensors. Errors: kInput naming file and key. The
// result is valid (config.h).
Result<ModelConfig> gguf_config(const GgufFile& file);

}  // namespace kvtoll
