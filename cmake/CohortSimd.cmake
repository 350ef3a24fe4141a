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
  # Their headers are few, and every file fills its part of the table under the same name.
  set_target_properties(cohort_simd_${level} PROPERTIES UNITY_BUILD OFF)
  target_compile_definitions(cohort_simd_${level} PRIVATE COHORT_SIMD_NAMESPACE=simd_${level})
  # GCC 12 warns of its own intrinsics' undefined operands (GCC bug 105593).
  target_compile_options(cohort_simd_${level} PRIVATE ${COHORT_KERNEL_FLAGS} ${ARGN}
                                                      -Wno-maybe-uninitialized -Wno-uninitialized)
  target_link_libraries(cohort_simd_${level} PRIVATE cohort_build fmt::fmt cohort_parallel)
  target_sources(cohort PRIVATE $<TARGET_OBJECTS:cohort_simd_${level}>)
endfunction()

# A library is for any processor unless it is asked to be for this one.
set(COHORT_SIMD_LEVELS ALL CACHE STRING
    "Instruction sets beyond the baseline: ALL, or NATIVE, the best one of the processor at hand")
set_property(CACHE COHORT_SIMD_LEVELS PROPERTY STRINGS ALL NATIVE)
if(COHORT_SIMD_LEVELS STREQUAL "ALL")
  set(simd_levels avx2 avx512)
elseif(COHORT_SIMD_LEVELS STREQUAL "NATIVE")
  set(simd_levels "")
  if(EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo cpu_flags REGEX "^flags" LIMIT_COUNT 1)
    if(cpu_flags MATCHES " fma .* avx2 .* avx512f .* avx512dq .* avx512cd .* avx512bw .* avx512vl ")
      set(simd_levels avx512)
    elseif(cpu_flags MATCHES " fma .* avx2 ")
      set(simd_levels avx2)
    endif()
  endif()
else()
  message(FATAL_ERROR "COHORT_SIMD_LEVELS: got ${COHORT_SIMD_LEVELS}; want ALL or NATIVE")
endif()

set(simd_flags_avx2 -march=x86-64-v3)
set(simd_flags_avx512 -march=x86-64-v4 -mavx512vl -mavx512dq -mavx512bw -mprefer-vector-width=512)
cohort_add_simd(baseline)
if(COHORT_HAVE_X86)
  foreach(level IN LISTS simd_levels)
    cohort_add_simd(${level} ${simd_flags_${level}})
  endforeach()
endif()
