# libcohort_cuda: loaded by libcohort when a program asks for a GPU, never linked by anyone. It must
# load on a machine without a driver, so libcuda is not among its libraries.
file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS kernels/cuda/*.cu kernels/cuda/*.cc)
if(NOT cuda_sources)
  return()
endif()
add_library(cohort_cuda MODULE ${cuda_sources})
target_link_libraries(cohort_cuda PRIVATE cohort cohort_build CUDA::cudart_static CUDA::cublasLt
                                          CUDNN::cudnn NCCL::nccl)
# -lineinfo: sanitizers and profilers name lines. Compressed, it costs nothing.
set(cuda_options --extended-lambda --expt-relaxed-constexpr -Xcompiler=-Wall -lineinfo)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
  list(APPEND cuda_options --compress-mode=size)
endif()
target_compile_options(cohort_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_options}>")
# Elementwise ops round where the CPU's do: no a*b+c is one operation unless it says so.
set_source_files_properties(kernels/cuda/binary.cu kernels/cuda/unary.cu kernels/cuda/update.cu
  kernels/cuda/update_body.cu PROPERTIES COMPILE_OPTIONS "-fmad=false")
# What cards must be able to run, for the module to use them.
string(REPLACE ";" "," cuda_architectures "${CMAKE_CUDA_ARCHITECTURES}")
set_source_files_properties(kernels/cuda/module.cc PROPERTIES COMPILE_DEFINITIONS
  "COHORT_CUDA_ARCHITECTURES=\"${cuda_architectures}\"")
# Each source speaks to one of NVIDIA's libraries, in the same words as its neighbours to theirs.
set_target_properties(cohort_cuda PROPERTIES UNITY_BUILD OFF
                                             CXX_VISIBILITY_PRESET hidden
                                             CUDA_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
# What ptxas tells of each kernel is kept beside its object, for tests/gpu/registers.py.
target_compile_options(cohort_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v>")
set_property(TARGET cohort_cuda PROPERTY CUDA_COMPILER_LAUNCHER
             ${CMAKE_CURRENT_LIST_DIR}/ptxas_log.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})

# A build for fewer targets compiles one file for all of a package's, so that a target which is gone is noticed.
if(COHORT_TESTS AND NOT "${CMAKE_CUDA_ARCHITECTURES}" STREQUAL "${COHORT_CUDA_TARGETS}")
  add_library(cohort_cuda_targets OBJECT kernels/cuda/tree_sum.cu)
  target_link_libraries(cohort_cuda_targets PRIVATE cohort cohort_build)
  target_compile_options(cohort_cuda_targets PRIVATE ${cuda_options})
  set_target_properties(cohort_cuda_targets PROPERTIES CUDA_ARCHITECTURES "${COHORT_CUDA_TARGETS}")
endif()
