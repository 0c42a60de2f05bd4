// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// RAII over CUDA streams, events and captured graphs; no policy.
// Example: Stream s;  GraphExec g = capture(s.get(), [&] { launch_all(s.get()); });  g.launch(s);
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kvtoll/device/cuda_error.h"

namespace kvtoll {

class Stream {
 public:
  Stream() { KVTOLL_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cuda_ignore(cudaStreamDestroy(stream_), "cudaStreamDestroy"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void synchronize() const { KVTOLL_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { KVTOLL_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cuda_ignore(cudaEventDestroy(event_), "cudaEventDestroy"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { KVTOLL_CUDA(cudaEventRecord(event_, stream)); }
  void synchronize() const { KVTOLL_CUDA(cudaEventSynchronize(event_)); }
  // Milliseconds from `start`; both must have completed.
  float since(const Event& start) const {
    float ms = 0.0f;
    KVTOLL_CUDA(cudaEventElapsedTime(&ms, start.event_, event_));
    return ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class GraphExec {
 public:
  GraphExec() = default;
  explicit GraphExec(cudaGraph_t graph) { KVTOLL_CUDA(cudaGraphInstantiate(&exec_, graph, 0)); }
  ~GraphExec() { reset(); }
  GraphExec(GraphExec&& other) noexcept : exec_(std::exchange(other.exec_, nullptr)) {}
  GraphExec& operator=(GraphExec&& other) noexcept {
    std::swap(exec_, other.exec_);
    return *this;
  }
  explicit operator bool() const { return exec_ != nullptr; }
  void launch(cudaStream_t stream) const { KVTOLL_CUDA(cudaGraphLaunch(exec_, stream)); }
  void reset() {
    if (exec_) cuda_ignore(cudaGraphExecDestroy(exec_), "cudaGraphExecDestroy");
    exec_ = nullptr;
  }

 private:
  cudaGraphExec_t exec_ = nullptr;
};

// Captures what `work` puts on the stream. If work throws, the capture is ended and the error goes
// on.
template <class Work>
GraphExec capture(cudaStream_t stream, const Work& work) {
  KVTOLL_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    (void)cudaStreamEndCapture(stream, &graph);
    (void)cudaGetLastError();  // of the capture; the next launch must not report it
    if (graph) (void)cudaGraphDestroy(graph);
    throw;
  }
  KVTOLL_CUDA(cudaStreamEndCapture(stream, &graph));
  try {
    GraphExec exec(graph);
    cuda_ignore(cudaGraphDestroy(graph), "cudaGraphDestroy");
    return exec;
  } catch (...) {
    cuda_ignore(cudaGraphDestroy(graph), "cudaGraphDestroy");
    throw;
  }
}

}  // namespace kvtoll
