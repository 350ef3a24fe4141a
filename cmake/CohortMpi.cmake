# libcohort_mpi: frames between hosts by MPI, loaded by libcohort when a program asks for it.
file(GLOB mpi_sources CONFIGURE_DEPENDS distribute/transport/mpi/*.cc)
add_library(cohort_mpi MODULE ${mpi_sources})
target_compile_definitions(cohort_mpi PRIVATE OMPI_SKIP_MPICXX=1 MPICH_SKIP_MPICXX=1)
target_link_libraries(cohort_mpi PRIVATE cohort cohort_build MPI::MPI_C)
set_target_properties(cohort_mpi PROPERTIES CXX_VISIBILITY_PRESET hidden
                                            VISIBILITY_INLINES_HIDDEN ON)
