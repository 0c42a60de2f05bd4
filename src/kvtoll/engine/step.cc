// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/step.h"

namespace kvtoll {

Result<void> run_step(Backend& backend, const StepInput& input) {
  KVTOLL_TRY(const bool ops_wanted, backend.begin_step(input));
  if (!ops_wanted) return {};  // a captured graph has replayed them all
  backend.embed();
  for (int layer = 0; layer < backend.config().layers; ++layer) {
    backend.norm_qkv(layer);
    backend.rope_append(layer);
    backend.attend(layer);
    backend.output_add(layer);
    backend.norm_gate_up(layer);
    backend.down_add(layer);
  }
  backend.norm_lm_head();
  backend.argmax();
  return backend.end_step();
}

}  // namespace kvtoll
