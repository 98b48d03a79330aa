# The flags of the project's own targets; never part of what users link.
add_library(udm_warnings INTERFACE)
target_compile_features(udm_warnings INTERFACE c_std_11)
target_compile_options(
  udm_warnings
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${UDM_WERROR}>:-Werror>
            $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
if(NOT udm_top_level AND NOT UDM_WERROR)
  # A parent's own warning flags, -Werror among them, reach this folder: not its sources.
  target_compile_options(udm_warnings INTERFACE -w)
endif()
if(UDM_SANITIZE)
  target_compile_options(udm_warnings INTERFACE -fsanitize=${UDM_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all -g)
  # Two checks of clang's are answered by its C++ runtime, which no program in C is linked with: the
  # C++ of the host kernel could not be loaded into one.
  target_compile_options(
    udm_warnings INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function,vptr>)
  target_link_options(udm_warnings INTERFACE -fsanitize=${UDM_SANITIZE})
endif()
if(UDM_BUILD_FUZZERS)
  # what the fuzzers steer by; only their own link brings libFuzzer
  target_compile_options(udm_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()
