# Our headers of CUDA declarations, and how one is compared with the real header: functions,
# versions and constants at compile time, sizes and values by a program built once with each
# header. Sourced.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"
: "${work:?}" "${cuda_include=}"

# set_header driver|nvrtc [FILE]: sets header, real_header and the compiler's definitions.
set_header() {
  case $1 in
    driver) header=${2:-$root/cuda/cuda_driver.h} real_header=cuda.h definitions=() ;;
    nvrtc)
      header=${2:-$root/cuda/nvrtc_functions.h} real_header=nvrtc.h definitions=(-DCOMPARE_NVRTC)
      ;;
  esac
}

# The versions that the header gives its functions, as lines of C.
write_versions() {
  sed -nE 's/^ *X\((cu[A-Za-z0-9]+)(_v[0-9]+)?, ([0-9]+),.*/HAS_VERSION(\1\2, PFN_\1_v\3)/p' \
    "$header" >"$work/versions.h"
  [[ ! -s $work/versions.h || ! -f $cuda_include/cudaTypedefs.h ]] ||
    definitions+=("-DVERSIONS=\"$work/versions.h\"")
}

# compare_functions COMPILER: the functions and constants of the header.
compare_functions() {
  write_versions
  "$1" -std=gnu11 -fsyntax-only "${definitions[@]}" -DHEADER="\"$header\"" \
    -I "$root/include" -isystem "$cuda_include" "$root/tests/declarations/compare_declarations.c"
}

# Types and constants that our header declares, each as a line of C that prints it.
print_statements() {
  cc -E -P -I "$root/include" "$header" | tr '\n' ' ' | sed 's/[;,{}]/\n/g' | sed -nE \
    -e '/^ *typedef (enum|struct) [A-Za-z0-9_]+ *$/d' \
    -e 's/^ *typedef .*\b(CU[A-Za-z0-9_]+|nvrtc[A-Za-z]+) *$/PRINT_TYPE(\1)/p' \
    -e 's/^ *(CU[A-Za-z0-9_]+|nvrtc[A-Za-z]+) *$/PRINT_TYPE(\1)/p' \
    -e 's/^ *((CUDA|CU|NVRTC)_[A-Z0-9_]+) *=.*/PRINT_VALUE(\1)/p'
}

# print_declarations COMPILER HEADER NAME: prints them as HEADER declares them.
print_declarations() {
  cat >"$work/$3.c" <<C
#include "$2"
#include <stdio.h>
#define PRINT_TYPE(type) \
  printf("%s: %zu bytes, aligned to %zu\n", #type, sizeof(type), _Alignof(type));
#define PRINT_VALUE(name) printf("%s = %lld\n", #name, (long long)name);
int main(void) {
$(print_statements)
  return 0;
}
C
  "$1" -std=gnu11 -w -I "$root/include" -isystem "$cuda_include" "$work/$3.c" -o "$work/$3" &&
    "$work/$3" >"$work/$3.txt"
}

# compare_types COMPILER: the sizes of the types, the values of the constants.
compare_types() {
  print_statements >"$work/ours"
  [[ -s $work/ours ]] || {
    echo "$header: no type and no constant was found"
    return 1
  }
  print_declarations "$1" "$header" declared_here || return
  print_declarations "$1" "$real_header" declared_there || return
  diff --label "$header" --label "$real_header" -u "$work/declared_here.txt" \
    "$work/declared_there.txt"
}
