# Required libraries, then the optional ones. An optional one has an option COHORT_<NAME>:
#   AUTO  use it if it is found     ON  stop if it is not found     OFF  do not look
# and sets COHORT_HAVE_<NAME>.

find_package(Threads REQUIRED)
find_package(fmt CONFIG REQUIRED GLOBAL)  # which programs link, too
find_package(ZLIB REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)

set(COHORT_OPTIONAL "")  # names, for the summary

macro(cohort_option name what)
  set(COHORT_${name} AUTO CACHE STRING "${what}: AUTO, ON or OFF")
  set_property(CACHE COHORT_${name} PROPERTY STRINGS AUTO ON OFF)
  if(NOT COHORT_${name} MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "COHORT_${name}: got ${COHORT_${name}}; want AUTO, ON or OFF")
  endif()
  set(COHORT_HAVE_${name} OFF)
  list(APPEND COHORT_OPTIONAL ${name})
endmacro()

# cohort_optional_package(NAME "what it is for" package-and-arguments of find_package...)
macro(cohort_optional_package name what)
  cohort_option(${name} "${what}")
  if(NOT COHORT_${name} STREQUAL "OFF")
    find_package(${ARGN} QUIET)
    if(${ARGV2}_FOUND)
      set(COHORT_HAVE_${name} ON)
    elseif(COHORT_${name} STREQUAL "ON")
      message(FATAL_ERROR "COHORT_${name}=ON, but ${ARGV2} was not found")
    endif()
  endif()
endmacro()

cohort_optional_package(ONEDNN "CPU kernels of oneDNN" DNNL MODULE)
cohort_optional_package(LAUNCH "the program cohort-launch, with CLI11" CLI11 CONFIG)

cohort_optional_package(TLS "encrypted TCP between hosts, with OpenSSL" OpenSSL MODULE)

# MPI's C library alone: its C++ bindings are gone from the standard, and slow to compile.
cohort_option(MPI "MPI between hosts, a module loaded at run time")
if(NOT COHORT_MPI STREQUAL "OFF")
  include(CheckLanguage)
  check_language(C)
  if(CMAKE_C_COMPILER)
    enable_language(C)
    find_package(MPI QUIET COMPONENTS C)
  endif()
  if(MPI_C_FOUND)
    set(COHORT_HAVE_MPI ON)
  elseif(COHORT_MPI STREQUAL "ON")
    message(FATAL_ERROR "COHORT_MPI=ON, but MPI's C library was not found")
  endif()
endif()

cohort_option(CUDA "the CUDA device, a module loaded at run time")
if(NOT COHORT_CUDA STREQUAL "OFF")
  include(CohortFindCuda)
endif()

# gRPC's package names no target for its code generator, and Protobuf's is found by module alone.
cohort_option(GRPC "the control plane of several processes, a module loaded at run time")
if(NOT COHORT_GRPC STREQUAL "OFF")
  find_package(Protobuf MODULE QUIET)
  find_package(gRPC CONFIG QUIET)
  find_package(OpenSSL MODULE QUIET)  # which gRPC uses as well
  find_program(COHORT_GRPC_CPP_PLUGIN grpc_cpp_plugin)
  if(Protobuf_FOUND AND Protobuf_PROTOC_EXECUTABLE AND gRPC_FOUND AND OPENSSL_FOUND
     AND COHORT_GRPC_CPP_PLUGIN)
    set(COHORT_HAVE_GRPC ON)
  elseif(COHORT_GRPC STREQUAL "ON")
    message(FATAL_ERROR "COHORT_GRPC=ON, but gRPC, Protobuf, OpenSSL or one of their generators was not found")
  endif()
endif()

cohort_option(HDF5 "Keras' files of weights, a module loaded at run time")
if(NOT COHORT_HDF5 STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(HDF5 QUIET IMPORTED_TARGET hdf5)
  endif()
  if(HDF5_FOUND)
    set(COHORT_HAVE_HDF5 ON)
  elseif(COHORT_HDF5 STREQUAL "ON")
    message(FATAL_ERROR "COHORT_HDF5=ON, but HDF5 was not found by pkg-config")
  endif()
endif()

# cpp-httplib 0.11: later ones have another seam between a connection and its bytes.
cohort_option(HTTP "metrics over HTTP, a module loaded at run time")
if(NOT COHORT_HTTP STREQUAL "OFF")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(HTTPLIB QUIET IMPORTED_TARGET cpp-httplib>=0.11 cpp-httplib<0.12)
  endif()
  if(HTTPLIB_FOUND)
    set(COHORT_HAVE_HTTP ON)
  elseif(COHORT_HTTP STREQUAL "ON")
    message(FATAL_ERROR "COHORT_HTTP=ON, but cpp-httplib 0.11 was not found by pkg-config")
  endif()
endif()

set(COHORT_HAVE_X86 OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(COHORT_HAVE_X86 ON)
endif()
