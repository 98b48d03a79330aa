# The tests of the Python package: pytest over the fake driver, and on a GPU if the machine
# has one. UDM_TEST_PYTHON has what dependencies/python.txt lists; tools/check makes one.
# SPDX-License-Identifier: Apache-2.0
set(UDM_TEST_PYTHON "" CACHE FILEPATH "A Python with the packages of dependencies/python.txt")

# The package as a wheel would install it, for PYTHONPATH.
set(package ${CMAKE_BINARY_DIR}/python/package)
set_target_properties(udm_python PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${package}/udm)
set(sources ${CMAKE_CURRENT_SOURCE_DIR}/udm)
file(GLOB modules CONFIGURE_DEPENDS ${sources}/*.py ${sources}/*.pyi ${sources}/py.typed)
add_custom_target(
  udm_python_package ALL
  COMMAND ${CMAKE_COMMAND} -E make_directory ${package}/udm/bin
  COMMAND ${CMAKE_COMMAND} -E copy_if_different ${modules} ${package}/udm
  COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:udm_command> ${package}/udm/bin
  DEPENDS udm_python udm_command)

set(tests ${CMAKE_CURRENT_SOURCE_DIR}/tests)
set(environment "PYTHONPATH=${package}" "PYTHONDONTWRITEBYTECODE=1"
                "UDM_CACHE_DIR=${CMAKE_BINARY_DIR}/python/cache")
if(UDM_SANITIZE MATCHES address)
  # Python itself is built without it.
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libasan.so
                  OUTPUT_VARIABLE asan OUTPUT_STRIP_TRAILING_WHITESPACE)
  list(APPEND environment "LD_PRELOAD=${asan}" "ASAN_OPTIONS=detect_leaks=0")
endif()

# add_python_test(NAME LABELS FILES [VARIABLE=VALUE...])
function(add_python_test name labels files)
  if(UDM_TEST_PYTHON)
    add_test(NAME ${name} COMMAND ${UDM_TEST_PYTHON} -m pytest -q -ra -p no:cacheprovider
                                  ${files})
  else()
    add_test(NAME ${name} COMMAND sh -c "echo 'skipped: UDM_TEST_PYTHON is not set'; exit 77")
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS "${labels}"
                                          ENVIRONMENT "${environment};${ARGN}")
endfunction()

set(over_fake_cuda "UDM_DRIVER_LIBRARY=$<TARGET_FILE:fake_cuda>" "UDM_FAKE_CUDA_DEVICES=9.0,8.6"
                   "FAKE_NVRTC=$<TARGET_FILE:fake_nvrtc>")
file(GLOB fake_cuda_tests CONFIGURE_DEPENDS ${tests}/fake_cuda/test_*.py)
list(REMOVE_ITEM fake_cuda_tests ${tests}/fake_cuda/test_types.py)
add_python_test(python.fake_cuda python "${fake_cuda_tests}" ${over_fake_cuda})
# the type checker, over the same sources in every build
add_python_test(python.types "python;once" ${tests}/fake_cuda/test_types.py ${over_fake_cuda})
add_python_test(gpu.real.python gpu ${tests}/real)
set_tests_properties(gpu.real.python PROPERTIES RESOURCE_LOCK gpu)

# src/dlpack.h declares DLPack by hand: it must agree with the real header.
add_test(NAME python.dlpack_header
         COMMAND ${tests}/dlpack_header.sh "${UDM_TEST_PYTHON}" ${CMAKE_C_COMPILER})
set_tests_properties(python.dlpack_header PROPERTIES SKIP_RETURN_CODE 77 LABELS python)
