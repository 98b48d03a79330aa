# The flags of the project's own targets. Users never inherit them.
add_library(udm_warnings INTERFACE)
target_compile_features(udm_warnings INTERFACE c_std_11)
target_compile_options(
  udm_warnings
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${UDM_WERROR}>:-Werror>
            $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
if(NOT udm_top_level AND NOT UDM_WERROR)
  # A parent project's warning flags, -Werror among them, must not break this project's sources.
  target_compile_options(udm_warnings INTERFACE -w)
endif()
if(UDM_SANITIZE)
  target_compile_options(udm_warnings INTERFACE -fsanitize=${UDM_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all -g)
  # Two of clang's checks need its C++ runtime, which a C program does not link. With them, a C program
  # could not load the C++ of the host kernel.
  target_compile_options(
    udm_warnings INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function,vptr>)
  target_link_options(udm_warnings INTERFACE -fsanitize=${UDM_SANITIZE})
endif()
if(UDM_BUILD_FUZZERS)
  # coverage for the fuzzers; only they link libFuzzer
  target_compile_options(udm_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()
