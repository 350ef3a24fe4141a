# The compiler's and linker's settings for everything built here. As a part of another project
# (add_subdirectory, FetchContent) it takes that one's build type, flags, tools and output folders, and
# builds and installs nothing but the library and cohort-launch.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
  endif()
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
endif()

option(COHORT_TESTS "Build the tests (needs GoogleTest)" ${PROJECT_IS_TOP_LEVEL})
option(COHORT_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(COHORT_INSTALL "Install the library and its programs" ${PROJECT_IS_TOP_LEVEL})
option(COHORT_BENCHMARKS "Build the benchmarks with everything else" OFF)
option(COHORT_PRECOMPILE "Precompile the headers that most files include" OFF)
set(COHORT_COMMON_HEADERS
    <algorithm> <chrono> <cstring> <functional> <map> <memory> <mutex> <optional> <span> <string>
    <vector> <cohort/core/error.h> <cohort/core/graph/graph.h> <cohort/core/tensor.h>)
set(COHORT_SANITIZE "" CACHE STRING "Sanitizers for every target: address,undefined or thread")

if(PROJECT_IS_TOP_LEVEL)
  foreach(language CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      find_program(COHORT_CCACHE ccache)
      if(COHORT_CCACHE)  # what several build folders of a tree compile alike is compiled once
        set(CMAKE_${language}_COMPILER_LAUNCHER
            ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
            CCACHE_SLOPPINESS=pch_defines,time_macros ${COHORT_CCACHE})
      endif()
    endif()
  endforeach()
  find_program(COHORT_MOLD mold)
  if(COHORT_MOLD)
    foreach(kind EXE SHARED MODULE)
      string(APPEND CMAKE_${kind}_LINKER_FLAGS " -fuse-ld=mold")
    endforeach()
  endif()
endif()

# The library's headers are "cohort/<folder>/<file>.h" for everybody, this repository included: a
# program's own core/ or data/ hides none of them. These links stand for what is installed.
set(COHORT_HEADER_FOLDERS core data checkpoint cluster distribute nn)
set(COHORT_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${COHORT_INCLUDE_DIR}/cohort)
foreach(name IN LISTS COHORT_HEADER_FOLDERS ITEMS kernels)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${name} ${COHORT_INCLUDE_DIR}/cohort/${name} SYMBOLIC)
endforeach()
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/cohort/cohort.h ${COHORT_INCLUDE_DIR}/cohort/cohort.h SYMBOLIC)

# Every target of the project, tests and examples too, links this; it is not installed.
#  * -fno-math-errno and -fno-trapping-math change no result, unlike -ffast-math.
#  * -ffp-contract=off: a*b+c is rounded twice, whatever the compiler and wherever a loop begins. A
#    kernel that wants one rounding calls fma().
#  * Options are given by designated initialisers: members left out have their defaults.
add_library(cohort_build INTERFACE)
target_include_directories(cohort_build INTERFACE ${COHORT_INCLUDE_DIR} ${PROJECT_SOURCE_DIR})
set(cohort_cxx_flags -Wall -Wextra -Wno-missing-field-initializers -fno-math-errno
                     -fno-trapping-math -ffp-contract=off -fno-semantic-interposition)
target_compile_options(cohort_build INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cohort_cxx_flags}>")
if(COHORT_PRECOMPILE)
  target_compile_options(cohort_build INTERFACE  # for ccache, which wants it
    "$<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>")
endif()
if(COHORT_SANITIZE)
  target_compile_options(cohort_build INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${COHORT_SANITIZE};-fno-omit-frame-pointer>")
  target_link_options(cohort_build INTERFACE -fsanitize=${COHORT_SANITIZE})
endif()

# kernels/cpu and the vector routines alone: vectorise fully.
set(COHORT_KERNEL_FLAGS "$<$<CONFIG:Release>:-O3>")
