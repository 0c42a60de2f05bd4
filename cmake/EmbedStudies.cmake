# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# generated/kvtoll_studies.inc: studies/*.toml as C++ initializers {name, text}, so that `kvtoll run core` needs no file.
file(GLOB study_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/studies/*.toml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${study_files})
set(study_text "")
foreach(study_file ${study_files})
  get_filename_component(study_name ${study_file} NAME_WE)
  file(READ ${study_file} toml)
  string(APPEND study_text "{\"${study_name}\", R\"TOML(${toml})TOML\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/kvtoll_studies.inc CONTENT "${study_text}" @ONLY)
