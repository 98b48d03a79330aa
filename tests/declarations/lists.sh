# The project's lists of foreign entry points, and how one is compared with the real header: the
# entry points at compile time, sizes and values by a program built once with each header. Sourced.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"
: "${work:?}" "${cuda_include=}"

# set_list LIST [FOLDER]: sets list, types, real_header and the compiler's definitions.
set_list() {
  case $1 in
    runtime_driver) list=runtime/driver/driver_symbols.h types=runtime/driver/driver_types.h ;;
    runtime_nvrtc) list=runtime/nvrtc/nvrtc_symbols.h types=runtime/nvrtc/nvrtc_types.h ;;
    tool_driver) list=tools/cuda_driver_symbols.h types=tools/cuda_driver_symbols.h ;;
  esac
  real_header=cuda.h definitions=()
  [[ $1 == *nvrtc ]] && real_header=nvrtc.h definitions=(-DCOMPARE_NVRTC)
  list=${2:-$root/$(dirname "$list")}/$(basename "$list")
  types=${2:-$root/$(dirname "$types")}/$(basename "$types")
}

# The versions that the list gives its entry points, as lines of C.
write_versions() {
  sed -nE 's/^UDM_DRIVER_SYMBOL\([A-Z]+, (cu[A-Za-z]+)(_v[0-9]+)?, ([0-9]+),.*/HAS_VERSION(\1\2, PFN_\1_v\3)/p' \
    "$list" >"$work/versions.h"
  [[ ! -s $work/versions.h || ! -f $cuda_include/cudaTypedefs.h ]] ||
    definitions+=("-DSYMBOL_VERSIONS=\"$work/versions.h\"")
}

# compare_list COMPILER: the entry points and constants of the list.
compare_list() {
  write_versions
  "$1" -std=gnu11 -fsyntax-only "${definitions[@]}" -DSYMBOL_LIST="\"$list\"" \
    -I "$root/include" -isystem "$cuda_include" "$root/tests/declarations/compare_declarations.c"
}

# Types and constants that our header declares, each as a line of C that prints it.
print_statements() {
  cc -E -P -I "$root/include" "$types" | tr '\n' ' ' | sed 's/[;,{}]/\n/g' | sed -nE \
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
    echo "$types: no type and no constant was found"
    return 1
  }
  print_declarations "$1" "$types" declared_here || return
  print_declarations "$1" "$real_header" declared_there || return
  diff --label "$types" --label "$real_header" -u "$work/declared_here.txt" \
    "$work/declared_there.txt"
}
