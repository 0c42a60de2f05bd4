// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which runs of a block are made again: those during which clocks were throttled, once each, until
// a repeated run is throttled too. Throttling is then how this machine works (a GPU at its power
// cap), repeating does not cure it, and the records' warning stands. Example:
//   for (bool repeat = false; rule.again(run_was_throttled(), repeat); repeat = true) drop();
#pragma once

namespace kvtoll::studies {

class RepeatRule {
 public:
  // throttled: the run that was just made; repeat: it was one that had been made before.
  bool again(bool throttled, bool repeat) {
    steady_ = steady_ || (throttled && repeat);
    return throttled && !repeat && !steady_;
  }

 private:
  bool steady_ = false;
};

}  // namespace kvtoll::studies
