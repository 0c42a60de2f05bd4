// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launching a kernel so that it may start before its predecessor has ended (programmatic dependent
// launch, sm_90), and the device side of it. A kernel launched this way calls pdl_trigger() first,
// touches only memory that no kernel of the step writes (weights), then pdl_wait(), which returns
// when everything before it is complete and visible. Every block must call pdl_wait(): completion
// is passed on along the chain. In code compiled for sm_80 both are nothing, so a kernel of such
// code is launched the ordinary way, whatever the device.
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/device/cuda_error.h"

namespace kvtoll {

__device__ __forceinline__ void pdl_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void pdl_trigger() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

struct LaunchShape {
  dim3 grid, block;
  size_t shared = 0;     // dynamic shared memory, bytes
  bool overlap = false;  // programmatic dependent launch, if the kernel's code knows of it
  int cluster = 1;       // blocks along x that run together; more than one only in code for 9.0
};

// Whether the code of a kernel that would run was compiled for compute capability 9.0 or newer; a
// device of 9.0 also runs what the driver made of sm_80's.
template <class Kernel>
bool built_for_sm90(Kernel* kernel) {
  cudaFuncAttributes attributes{};
  KVTOLL_CUDA(cudaFuncGetAttributes(&attributes, kernel));
  return attributes.ptxVersion >= 90;
}

// Raises the kernel's shared-memory limit; once per kernel and size, outside captures.
template <class Kernel>
void allow_shared(Kernel* kernel, size_t bytes) {
  KVTOLL_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)));
}

// Clusters of more than 8 blocks, which not every device of a kind has to offer; see
// resident_clusters.
template <class Kernel>
void allow_large_clusters(Kernel* kernel) {
  if (!built_for_sm90(kernel)) return;
  KVTOLL_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
}

// A launch as the runtime wants it; the attributes must outlive the configuration.
struct LaunchConfig {
  LaunchConfig(const LaunchShape& shape, bool overlap, cudaStream_t stream) {
    config.gridDim = shape.grid;
    config.blockDim = shape.block;
    config.dynamicSmemBytes = shape.shared;
    config.stream = stream;
    config.attrs = attributes;
    if (overlap) {
      cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
      attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attribute.val.programmaticStreamSerializationAllowed = 1;
    }
    if (shape.cluster > 1) {
      cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
      attribute.id = cudaLaunchAttributeClusterDimension;
      attribute.val.clusterDim = {static_cast<unsigned>(shape.cluster), 1, 1};
    }
  }
  LaunchConfig(const LaunchConfig&) = delete;

  cudaLaunchAttribute attributes[2]{};
  cudaLaunchConfig_t config{};
};

// How many clusters of this shape run at the same time; 0 if the device or the kernel's code has
// none so large.
template <class Kernel>
int resident_clusters(Kernel* kernel, const LaunchShape& shape) {
  if (!built_for_sm90(kernel)) return 0;
  const LaunchConfig launch(shape, false, nullptr);
  int clusters = 0;
  if (cudaOccupancyMaxActiveClusters(&clusters, kernel, &launch.config) == cudaSuccess)
    return clusters;
  (void)cudaGetLastError();  // such clusters cannot be launched
  return 0;
}

template <class... Params, class... Args>
void launch_kernel(void (*kernel)(Params...), const LaunchShape& shape, cudaStream_t stream,
                   Args&&... args) {
  const bool overlap = shape.overlap && built_for_sm90(kernel);
  const LaunchConfig launch(shape, overlap, stream);
  // Kernels overlap on a multiprocessor only if none of them asks for another split between L1 and
  // shared memory: changing it drains the multiprocessor.
  if (overlap)
    KVTOLL_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                     cudaSharedmemCarveoutMaxShared));
  KVTOLL_CUDA(cudaLaunchKernelEx(&launch.config, kernel, Params(args)...));
}

}  // namespace kvtoll
