# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# System packages (scripts/install_deps installs them); a static archive is preferred where Debian ships one, so that
set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_path(EXPECTED_INCLUDE_DIR tl/expected.hpp REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
find_path(UTF8PROC_INCLUDE_DIR utf8proc.h REQUIRED)
find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)
find_path(HWY_INCLUDE_DIR hwy/highway.h REQUIRED)
find_library(HWY_LIBRARY hwy REQUIRED)
find_path(SQLITE3_INCLUDE_DIR sqlite3.h REQUIRED)
find_library(SQLITE3_LIBRARY sqlite3 REQUIRED)
find_path(BOOST_INCLUDE_DIR boost/multiprecision/cpp_int.hpp REQUIRED)
find_path(ZLIB_INCLUDE_DIR zlib.h REQUIRED)
find_library(ZLIB_LIBRARY z REQUIRED)

# What each room may use of them (house.md: vendor headers and libraries stay where they belong).
set(KVTOLL_USES_core fmt::fmt nlohmann_json::nlohmann_json Threads::Threads)
set(KVTOLL_USES_model ${UTF8PROC_LIBRARY})
set(KVTOLL_USES_backends ${HWY_LIBRARY})
set(KVTOLL_USES_profiler ${SQLITE3_LIBRARY} ${ZLIB_LIBRARY} ${CMAKE_DL_LIBS} m)
# GCC 12 sees uninitialized limbs and overlapping copies in Boost.Multiprecision and std::string that are not there.
set(KVTOLL_OPTIONS_quality -Wno-maybe-uninitialized -Wno-restrict)
