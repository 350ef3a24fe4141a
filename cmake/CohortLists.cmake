# <cohort/made/WHAT.h> for each folder nn/WHAT: all headers that lie there, so that one more optimizer, metric
# or layer is one more file; and `NAMESPACE::GivenByName`, a tuple of the structs in them that begin with a
# kName, in the order of the files.
function(cohort_list_headers what namespace)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} nn/${what}/*.h)
  set(includes "")
  set(names "")
  foreach(header IN LISTS headers)
    string(APPEND includes "#include \"cohort/${header}\"\n")
    file(READ ${header} text)
    string(REGEX MATCHALL "struct [A-Za-z0-9]+ {\n  static constexpr std::string_view kName" found "${text}")
    foreach(struct IN LISTS found)
      string(REGEX REPLACE "struct ([A-Za-z0-9]+) .*" "\\1" name "${struct}")
      list(APPEND names ${name})
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  endforeach()
  list(JOIN names ", " names)
  set(given "")
  if(names)
    set(given "\nnamespace ${namespace} {\n\nusing GivenByName = std::tuple<${names}>;\n\n}  // namespace ${namespace}\n")
  endif()
  file(CONFIGURE OUTPUT ${COHORT_INCLUDE_DIR}/cohort/made/${what}.h @ONLY CONTENT
"#pragma once

// Made by CMake of the headers in nn/${what}.
#include <tuple>

${includes}${given}")
endfunction()

cohort_list_headers(layers cohort::nn::layers)
cohort_list_headers(metrics cohort::nn::metrics)
cohort_list_headers(optimizers cohort::nn::optimizers)
