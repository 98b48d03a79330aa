# The cubins that are installed with the library: one for every architecture that the NVRTCs of this
# machine know. The library finds them by itself (docs/CACHE.md), and never compiles.
# SPDX-License-Identifier: Apache-2.0
if(NOT UDM_BUILD_TOOLS)
  message(FATAL_ERROR "UDM_BUILD_CUBINS needs UDM_BUILD_TOOLS: the udm command compiles them")
endif()
set(udm_cubins ${udm_BINARY_DIR}/cubins)
add_custom_command(
  OUTPUT ${udm_cubins}/made
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${udm_cubins}
  COMMAND udm_command prewarm --arch all --cache-dir ${udm_cubins}
  COMMAND ${CMAKE_COMMAND} -E touch ${udm_cubins}/made
  DEPENDS udm_command
  COMMENT "Compiling the kernel for every architecture"
  VERBATIM USES_TERMINAL)
add_custom_target(udm_cubins ALL DEPENDS ${udm_cubins}/made)

# udm_install_cubins(FOLDER COMPONENT)
function(udm_install_cubins folder component)
  install(DIRECTORY ${udm_BINARY_DIR}/cubins/ DESTINATION ${folder} COMPONENT ${component}
          FILES_MATCHING PATTERN "*.cubin")
endfunction()
