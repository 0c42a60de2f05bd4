// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// KVTOLL_HD marks functions that host and device code share; plain C++ for a host compiler.
#pragma once

#if defined(__CUDACC__)
#define KVTOLL_HD __host__ __device__
#else
#define KVTOLL_HD
#endif
