// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/activations.h"

#include <algorithm>

namespace kvtoll::cuda {

void plan_activations(Activations& a, const ModelConfig& c, int slots, int64_t prompt,
                      int most_chunk, int64_t partial, Slab& slab) {
  const int64_t rows = std::max<int64_t>({prompt, slots, 1});
  const int64_t chunk = std::max<int64_t>(slots, std::min<int64_t>(rows, most_chunk));
  a.chunk = static_cast<int>(chunk);
  a.logit_rows = static_cast<int>(std::max<int64_t>(slots, std::min<int64_t>(prompt, 64)));
  slab.add(&a.x, rows * c.hidden * 4);
  slab.add(&a.qkv, chunk * (c.q_width() + 2 * c.kv_width()) * 4);
  slab.add(&a.q, chunk * c.q_width() * 2);
  slab.add(&a.attended, chunk * c.q_width() * 2);
  slab.add(&a.normed, chunk * c.hidden * 2);
  slab.add(&a.gate_up, (chunk > 1 ? chunk : 0) * 2 * c.ffn * 4);
  slab.add(&a.hidden, chunk * c.ffn * 2);
  slab.add(&a.logits, int64_t(a.logit_rows) * c.vocab * 4);
  slab.add(&a.partial, partial * 4);
  slab.add(&a.stats, partial / c.head_dim * 8);
  slab.add(&a.turns, int64_t(slots) * (c.head_dim / 2) * 8);
  slab.add(&a.tokens, rows * 4);
  const int64_t before = slab.bytes().value;
  slab.add(&a.row_slot, int64_t(slots) * 4);
  slab.add(&a.slot_token, int64_t(slots) * 4);
  slab.add(&a.slot_length, int64_t(slots) * 4);
  slab.add(&a.best, int64_t(slots) * 8);
  slab.add(&a.done, int64_t(slots) * 4);
  slab.add(&a.arrived, partial / (8 * c.head_dim) * 4);
  a.state_bytes = slab.bytes().value - before;
}

}  // namespace kvtoll::cuda
