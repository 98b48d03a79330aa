# embed.cmake: writes the C file OUTPUT, which holds the bytes of HEADER (if given) and INPUT as the
# array NAME (with a terminating 0) and their number as NAME_size.
# Use: cmake -DINPUT=file [-DHEADER=file] -DOUTPUT=file.c -DNAME=symbol -P embed.cmake
file(READ "${INPUT}" bytes HEX)
if(HEADER)
  file(READ "${HEADER}" header HEX)
  string(PREPEND bytes "${header}")
endif()
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
get_filename_component(file_name "${INPUT}" NAME)
file(WRITE "${OUTPUT}" "/* Made from ${file_name} by cmake/embed.cmake. */
#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_size;
const unsigned char ${NAME}[] = {
${bytes}0x00};
const size_t ${NAME}_size = ${size};
")
