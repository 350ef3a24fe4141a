# cohort-launch, from launch/*.cc. It knows no tensor and links nothing of libcohort, whose libraries
# would be loaded for nothing; the sources of it that it needs are compiled into it.
file(GLOB launch_sources CONFIGURE_DEPENDS launch/*.cc)
list(FILTER launch_sources EXCLUDE REGEX "/cohort_launch\\.cc$")
add_library(cohort_launch_base OBJECT ${launch_sources})
target_link_libraries(cohort_launch_base PRIVATE cohort_build nlohmann_json::nlohmann_json
                                         PUBLIC fmt::fmt)

add_executable(cohort-launch launch/cohort_launch.cc core/error.cc core/process_identity.cc
                             core/system.cc core/terminal.cc cluster/environment.cc
                             cluster/failure_record.cc cluster/job_secret.cc)
target_link_libraries(cohort-launch PRIVATE cohort_launch_base cohort_build CLI11::CLI11
                                            nlohmann_json::nlohmann_json)
set_target_properties(cohort-launch PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/launch)
