# The program, against cohort::cohort. Its own headers come before the library's.
add_executable(outside ${CMAKE_CURRENT_LIST_DIR}/main.cc ${CMAKE_CURRENT_LIST_DIR}/cube.cc)
target_include_directories(outside BEFORE PRIVATE ${CMAKE_CURRENT_LIST_DIR}
                                                  ${CMAKE_CURRENT_LIST_DIR}/own)
target_compile_options(outside PRIVATE -Wall -Wextra -Werror)
target_link_libraries(outside PRIVATE cohort::cohort)
