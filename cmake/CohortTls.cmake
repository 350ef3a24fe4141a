# libcohort_tls: TCP connections encrypted by OpenSSL, loaded by libcohort when a job has TLS keys.
file(GLOB tls_sources CONFIGURE_DEPENDS distribute/transport/tls/*.cc)
add_library(cohort_tls MODULE ${tls_sources})
target_link_libraries(cohort_tls PRIVATE cohort cohort_build OpenSSL::SSL)
set_target_properties(cohort_tls PROPERTIES CXX_VISIBILITY_PRESET hidden
                                            VISIBILITY_INLINES_HIDDEN ON)
