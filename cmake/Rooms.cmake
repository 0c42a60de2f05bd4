# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# One static library per room; it links only what its row of rooms.table allows. Sources are found by name:
# *.cc always, *.cu only in a CUDA build, cuda/ folders only in a CUDA build.
find_package(Git QUIET)

add_library(kvtoll_options INTERFACE)
target_include_directories(kvtoll_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
# -ffp-contract=off: formats are specified rounding by rounding; an FMA would change the last bit.
target_compile_options(kvtoll_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers -ffp-contract=off>)
if(KVTOLL_SANITIZE)
  target_compile_options(kvtoll_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer>)
  target_link_options(kvtoll_options INTERFACE -fsanitize=address,undefined)
endif()
if(KVTOLL_HAVE_CUDA)
  target_compile_definitions(kvtoll_options INTERFACE KVTOLL_HAVE_CUDA=1)
  # fmt 9 takes nvcc for a compiler without constexpr and then does not compile.
  target_compile_definitions(kvtoll_options INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
endif()

function(kvtoll_add_room room deps)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kvtoll/${room}/*.cc)
  list(FILTER sources EXCLUDE REGEX "cli/main\\.cc$")
  if(KVTOLL_HAVE_CUDA)
    file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kvtoll/${room}/*.cu)
    list(APPEND sources ${cuda_sources})
  else()
    list(FILTER sources EXCLUDE REGEX "/src/kvtoll/[a-z]+/cuda/")
    list(FILTER sources EXCLUDE REGEX "/device/[^/]*_cuda\\.cc$")
  endif()
  set(target kvtoll_${room})
  if(sources)
    add_library(${target} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${target} ${scope} kvtoll_options ${KVTOLL_USES_${room}})
  target_compile_options(${target} ${scope} ${KVTOLL_OPTIONS_${room}})
  foreach(dep ${deps})
    target_link_libraries(${target} ${scope} kvtoll_${dep})
  endforeach()
  if(room STREQUAL "formats")
    if(KVTOLL_HAVE_CUDA)
      target_link_libraries(${target} PUBLIC kvtoll_device)  # its device code (.cuh, .cu) raises device/cuda_error.h
    endif()
    # Loops over the rounding function become SIMD only if the compiler may run both of its branches; nothing reads
    # floating-point exception flags.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-trapping-math>)
  endif()
  if(KVTOLL_HAVE_CUDA AND room MATCHES "^(device|formats|backends|profiler)$")
    target_link_libraries(${target} ${scope} CUDA::cudart_static)
    target_include_directories(${target} ${scope} ${CUDAToolkit_INCLUDE_DIRS} ${KVTOLL_CUPTI_INCLUDE_DIRS})
    if(sources)
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -lineinfo -diag-suppress=445>)
    endif()
  endif()
endfunction()

macro(kvtoll_rooms table)
  file(STRINGS ${table} rows)
  foreach(row ${rows})
    if(row MATCHES "^([a-z]+):(.*)$")
      set(room ${CMAKE_MATCH_1})
      string(REGEX MATCHALL "[a-z]+" deps "${CMAKE_MATCH_2}")
      kvtoll_add_room(${room} "${deps}")
    endif()
  endforeach()
  include(${CMAKE_SOURCE_DIR}/cmake/BuildInfo.cmake)
endmacro()
