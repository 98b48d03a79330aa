# Installs three components: runtime (the shared library), development (headers, the
# static library, CMake and pkg-config files), tools (the udm command, its pages and completions),
# cubins (the kernel, compiled).
# SPDX-License-Identifier: Apache-2.0
include(CMakePackageConfigHelpers)

foreach(folder LIBDIR INCLUDEDIR BINDIR MANDIR DATADIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
    message(FATAL_ERROR "CMAKE_INSTALL_${folder} is ${CMAKE_INSTALL_${folder}}: give it relative to "
                        "the prefix, because users may move the tree")
  endif()
endforeach()

set(udm_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/udm)
install(
  TARGETS udm udm_static
  EXPORT udmTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          COMPONENT runtime
          NAMELINK_COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(
  EXPORT udmTargets
  NAMESPACE udm::
  DESTINATION ${udm_cmake_dir}
  COMPONENT development)
install(FILES include/udm.h include/udm.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development)

# Any version with the same major number fits, as with the SONAME: docs/ABI.md.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/udmConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
configure_package_config_file(
  cmake/udmConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/udmConfig.cmake
  INSTALL_DESTINATION ${udm_cmake_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/udmConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/udmConfigVersion.cmake
        DESTINATION ${udm_cmake_dir} COMPONENT development)

file(RELATIVE_PATH udm_prefix_from_pkgconfig /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" udm_prefix_from_pkgconfig "${udm_prefix_from_pkgconfig}")
configure_file(cmake/udm.pc.in ${CMAKE_CURRENT_BINARY_DIR}/udm.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/udm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)

if(UDM_BUILD_TOOLS)
  install(TARGETS udm_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endif()
if(UDM_BUILD_CUBINS)
  udm_install_cubins(${CMAKE_INSTALL_LIBDIR}/udm/cubins cubins)
endif()
