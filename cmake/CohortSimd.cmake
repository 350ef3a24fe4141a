# kernels/cpu/simd/*.cc and distribute/simd/*.cc serve every x86-64 processor: each file is compiled
# once per instruction set, its functions in the namespace COHORT_SIMD_NAMESPACE, and the folder above
# chooses at run time.
#
# A file there must not define or instantiate anything inline outside that namespace which other
# files use too (std::vector, fmt, ...): the linker keeps one copy, and it could be the one that only
# the newest processor can run.
file(GLOB simd_sources CONFIGURE_DEPENDS kernels/cpu/simd/*.cc distribute/simd/*.cc)

function(cohort_add_simd level)
  if(NOT simd_sources)
    return()
  endif()
  add_library(cohort_simd_${level} OBJECT ${simd_sources})
  target_compile_definitions(cohort_simd_${level} PRIVATE COHORT_SIMD_NAMESPACE=simd_${level})
  # GCC 12 warns of its own intrinsics' undefined operands (GCC bug 105593).
  target_compile_options(cohort_simd_${level} PRIVATE ${COHORT_KERNEL_FLAGS} ${ARGN}
                                                      -Wno-maybe-uninitialized -Wno-uninitialized)
  target_link_libraries(cohort_simd_${level} PRIVATE cohort_build fmt::fmt cohort_parallel)
  target_sources(cohort PRIVATE $<TARGET_OBJECTS:cohort_simd_${level}>)
endfunction()

cohort_add_simd(baseline)
if(COHORT_HAVE_X86)
  cohort_add_simd(avx2 -march=x86-64-v3)
  cohort_add_simd(avx512 -march=x86-64-v4 -mavx512vl -mavx512dq -mavx512bw
                         -mprefer-vector-width=512)
endif()
