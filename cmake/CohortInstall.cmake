# The installed tree: the headers below include/cohort, the library
# with its modules beside it, cohort-launch, what starts jobs in other ways (share/cohort), and a package
# for find_package(cohort).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cohort)

install(DIRECTORY ${COHORT_INCLUDE_DIR}/cohort/made DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cohort)
install(FILES cohort/cohort.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cohort)
foreach(folder IN LISTS COHORT_HEADER_FOLDERS)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cohort FILES_MATCHING PATTERN *.h)
endforeach()

set(data_dir ${CMAKE_INSTALL_DATADIR}/cohort/launch)
install(PROGRAMS launch/mpirun.sh DESTINATION ${data_dir})
install(DIRECTORY launch/slurm launch/kubernetes DESTINATION ${data_dir})
install(FILES CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set_target_properties(cohort PROPERTIES INSTALL_RPATH "\$ORIGIN")
install(TARGETS cohort cohort_openmp EXPORT cohortTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(module IN LISTS COHORT_MODULES)
  if(TARGET ${module})
    set_target_properties(${module} PROPERTIES INSTALL_RPATH "\$ORIGIN"
                                               INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS ${module} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
set_target_properties(cohort-checkpoint PROPERTIES INSTALL_RPATH
                      "\$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS cohort-checkpoint RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET cohort-launch)
  install(TARGETS cohort-launch RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(EXPORT cohortTargets NAMESPACE cohort:: DESTINATION ${package_dir})
configure_package_config_file(cmake/cohortConfig.cmake.in ${PROJECT_BINARY_DIR}/cohortConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cohortConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cohortConfig.cmake ${PROJECT_BINARY_DIR}/cohortConfigVersion.cmake
        DESTINATION ${package_dir})
