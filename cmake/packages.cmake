# cpack -G DEB makes libudm0, libudm-dev, udm-tools and, with UDM_BUILD_CUBINS, udm-cubins. Configure
# with -DCMAKE_INSTALL_PREFIX=/usr, so that the library goes to Debian's folder for the architecture.
# SPDX-License-Identifier: Apache-2.0
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME udm)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(UDM_PACKAGE_CONTACT "udm maintainers <maintainers@udm.example.org>"
    CACHE STRING "Who answers for the packages: name <address>")
mark_as_advanced(UDM_PACKAGE_CONTACT)
set(CPACK_PACKAGE_CONTACT ${UDM_PACKAGE_CONTACT})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL runtime development)
if(UDM_BUILD_TOOLS)
  list(APPEND CPACK_COMPONENTS_ALL tools)
endif()
if(UDM_BUILD_CUBINS)
  list(APPEND CPACK_COMPONENTS_ALL cubins)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

# udm_debian_package(COMPONENT PACKAGE SECTION SUMMARY TEXT): makes a component a package, with the
# licence and the changelog that Debian requires.
string(TIMESTAMP udm_package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
function(udm_debian_package component package section summary text)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/debian/${package})
  file(WRITE ${folder}/copyright "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2026 udm contributors
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
")
  file(WRITE ${folder}/changelog "\
udm (${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Version ${PROJECT_VERSION}.

 -- ${CPACK_PACKAGE_CONTACT}  ${udm_package_date}
")
  file(ARCHIVE_CREATE OUTPUT ${folder}/changelog.Debian.gz PATHS ${folder}/changelog FORMAT raw
       COMPRESSION GZip COMPRESSION_LEVEL 9)
  # only packages contain these
  install(FILES ${folder}/copyright ${folder}/changelog.Debian.gz
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component}
          EXCLUDE_FROM_ALL)
endfunction()

udm_debian_package(
  runtime libudm${PROJECT_VERSION_MAJOR} libs "unified decode metadata: the library"
  "Fills the attention metadata of every draft backend of a speculative decoding
step in one CUDA kernel launch, through the CUDA Driver API. Linking it needs
neither the CUDA runtime nor a toolkit: it opens libcuda and NVRTC at run time.")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/debian/triggers)

udm_debian_package(
  development libudm-dev libdevel "unified decode metadata: development files"
  "The headers for C and C++, the static library, and the CMake and pkg-config
files of udm, which fills the attention metadata of a speculative decoding step
in one CUDA kernel launch.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libudm${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")

udm_debian_package(
  tools udm-tools utils "unified decode metadata: the udm command"
  "Reports what udm can use on a machine, compiles its kernel into the cache with or
without a GPU, manages that cache, replays request traces with every output
checked, and tests and measures a GPU.")

udm_debian_package(
  cubins udm-cubins libs "unified decode metadata: the compiled kernel"
  "The kernel of udm, compiled for every GPU architecture that the compiler of
this package knew. With it, the library and the command need no NVRTC, and the
first use on a machine compiles nothing.")
set(CPACK_DEBIAN_CUBINS_PACKAGE_SHLIBDEPS OFF)
# of that version alone: another kernel has other entries
set(CPACK_DEBIAN_CUBINS_PACKAGE_DEPENDS
    "libudm${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
# lintian takes these ELF files for programs of the CPU
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/debian/overrides "\
udm-cubins: binary-from-other-architecture
udm-cubins: statically-linked-binary
udm-cubins: unstripped-binary-or-object
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/debian/overrides RENAME udm-cubins
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT cubins EXCLUDE_FROM_ALL)

include(CPack)
