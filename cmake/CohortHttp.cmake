# libcohort_http: serves metrics with cpp-httplib, loaded by libcohort when a program asks for that.
# The flags decide the layout of the library's classes, so they are taken from its package.
file(GLOB http_sources CONFIGURE_DEPENDS cluster/http/*.cc)
add_library(cohort_http MODULE ${http_sources})
target_link_libraries(cohort_http PRIVATE cohort cohort_build PkgConfig::HTTPLIB Threads::Threads)
set_target_properties(cohort_http PROPERTIES CXX_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
