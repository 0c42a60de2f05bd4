// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/trace.h"

#include <atomic>

namespace kvtoll::trace {
namespace {
std::atomic<Sink*> installed{nullptr};
}  // namespace

void install(Sink* sink) { installed.store(sink, std::memory_order_release); }
Sink* sink() { return installed.load(std::memory_order_acquire); }

}  // namespace kvtoll::trace
