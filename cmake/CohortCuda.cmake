# libcohort_cuda: loaded by libcohort when a program asks for a GPU, never linked by anyone. It must
# load on a machine without a driver, so libcuda is not among its libraries.
file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS kernels/cuda/*.cu kernels/cuda/*.cc)
if(NOT cuda_sources)
  return()
endif()
add_library(cohort_cuda MODULE ${cuda_sources})
target_link_libraries(cohort_cuda PRIVATE cohort cohort_build CUDA::cudart_static CUDA::cublasLt
                                          CUDNN::cudnn NCCL::nccl)
target_compile_options(cohort_cuda PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda;--expt-relaxed-constexpr;-Xcompiler=-Wall>")
set_target_properties(cohort_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden
                                             CUDA_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
# What ptxas tells of each kernel is kept beside its object, for tests/gpu/registers.py.
target_compile_options(cohort_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v>")
set_property(TARGET cohort_cuda PROPERTY CUDA_COMPILER_LAUNCHER
             ${CMAKE_CURRENT_LIST_DIR}/ptxas_log.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})
