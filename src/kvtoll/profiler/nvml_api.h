// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The few declarations of NVML (the driver's libnvidia-ml.so.1) that we call, so that a build needs
// no vendor header. Types and numbers are those of NVIDIA's published NVML API reference; a test
// fills NvmlApi with functions of its own.
#pragma once

#include <cstdint>

namespace kvtoll::profiler::nvml {

using Device = void*;
using Return = int;  // 0: success
inline constexpr Return kSuccess = 0;
inline constexpr Return kNotSupported = 3;
inline constexpr Return kNoPermission = 4;

enum ClockType : int { kClockGraphics = 0, kClockSm = 1, kClockMemory = 2 };
inline constexpr int kTemperatureGpu = 0;

struct Memory {
  unsigned long long total, free, used;  // bytes
};

// nvmlProcessInfo_t, version 2 of the call (_v3 in the library's symbol names)
struct ProcessInfo {
  unsigned int pid;
  unsigned long long used_memory;
  unsigned int gpu_instance_id, compute_instance_id;
};

struct PciInfo {
  char bus_id_legacy[16];
  unsigned int domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};

// nvmlFieldValue_t
union Value {
  double d;
  unsigned int ui;
  unsigned long ul;
  unsigned long long ull;
  signed long long sll;
  int si;
  unsigned short us;
};
struct FieldValue {
  unsigned int field_id, scope_id;
  long long timestamp_us, latency_us;
  int value_type;
  Return result;
  Value value;
};
inline constexpr unsigned kFieldPowerInstant = 186;

// Bits of "clocks event reasons".
inline constexpr uint64_t kReasonIdle = 0x1;
inline constexpr uint64_t kReasonApplicationClocks = 0x2;
inline constexpr uint64_t kReasonSoftwarePowerCap = 0x4;
inline constexpr uint64_t kReasonHardwareSlowdown = 0x8;
inline constexpr uint64_t kReasonSyncBoost = 0x10;
inline constexpr uint64_t kReasonSoftwareThermal = 0x20;
inline constexpr uint64_t kReasonHardwareThermal = 0x40;
inline constexpr uint64_t kReasonPowerBrake = 0x80;
inline constexpr uint64_t kReasonDisplayClocks = 0x100;

}  // namespace kvtoll::profiler::nvml
