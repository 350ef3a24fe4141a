# libcohort_hdf5: HDF5 files, loaded by libcohort when a program reads or writes one.
file(GLOB hdf5_sources CONFIGURE_DEPENDS checkpoint/hdf5/*.cc)
add_library(cohort_hdf5 MODULE ${hdf5_sources})
target_link_libraries(cohort_hdf5 PRIVATE cohort cohort_build PkgConfig::HDF5)
set_target_properties(cohort_hdf5 PROPERTIES CXX_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
