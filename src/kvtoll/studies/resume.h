// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What is left of a study: which blocks have to be measured, given the files that are there.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "kvtoll/report/record.h"
#include "kvtoll/studies/matrix.h"

namespace kvtoll::studies {

struct Remaining {
  std::vector<Block> blocks;  // to measure, in order
  int64_t skipped = 0;        // configurations that are finished
};

// A block with a missing file runs again as a whole, since its formats are measured in turn; a
// complete one runs again only for the formats whose status is failed. `expected` gives the config
// and protocol that a record of this block would get now. Errors: kInput when a record there was
// made with another schema, model source, backend, dtype or protocol.
Result<Remaining> remaining_blocks(const std::vector<Block>& blocks,
                                   const std::filesystem::path& raw,
                                   const std::function<report::RunRecord(const Block&)>& expected);

// Removes temporary files of processes that are gone (killed while they wrote).
void remove_stale_temporaries(const std::filesystem::path& raw);
std::vector<std::filesystem::path> temporaries(const std::filesystem::path& raw);

}  // namespace kvtoll::studies
