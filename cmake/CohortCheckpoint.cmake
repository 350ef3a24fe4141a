# cohort-checkpoint, from checkpoint/tool/*.cc: shows, verifies, compares and converts checkpoints.
file(GLOB tool_sources CONFIGURE_DEPENDS checkpoint/tool/*.cc)
list(FILTER tool_sources EXCLUDE REGEX "/cohort_checkpoint\\.cc$")
add_library(cohort_checkpoint_base OBJECT ${tool_sources})
target_link_libraries(cohort_checkpoint_base PRIVATE cohort_build cohort nlohmann_json::nlohmann_json)

add_executable(cohort-checkpoint checkpoint/tool/cohort_checkpoint.cc)
target_link_libraries(cohort-checkpoint PRIVATE cohort_checkpoint_base cohort cohort_build)
set_target_properties(cohort-checkpoint PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/launch)
