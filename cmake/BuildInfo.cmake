# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# generated/kvtoll_build_info.inc: git revision and dirty flag, refreshed at every build, rewritten only when they change.
set(info_script ${CMAKE_SOURCE_DIR}/cmake/WriteBuildInfo.cmake)
set(info_file ${CMAKE_BINARY_DIR}/generated/kvtoll_build_info.inc)
set(info_args -DOUT=${info_file} -DSRC=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} -DBUILD_TYPE=${CMAKE_BUILD_TYPE}
    "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" "-DCUDA=${CMAKE_CUDA_COMPILER_VERSION}")
execute_process(COMMAND ${CMAKE_COMMAND} ${info_args} -P ${info_script})
add_custom_target(kvtoll_build_info COMMAND ${CMAKE_COMMAND} ${info_args} -P ${info_script} BYPRODUCTS ${info_file} VERBATIM)
add_dependencies(kvtoll_core kvtoll_build_info)
