/*
 * test_cubin.c: the architecture in an ELF header, of both ABI versions, and
 * what is not a cubin. tests/nvrtc does the same with real ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image/cubin.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "cmocka_headers.h"

static Elf64_Ehdr cubin_header(unsigned char abi_version, unsigned flags) {
  Elf64_Ehdr header;
  memset(&header, 0, sizeof header);
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_ABIVERSION] = abi_version;
  header.e_machine = EM_CUDA;
  header.e_flags = flags;
  return header;
}

/* The flags are those of real cubins: NVRTC 12.9 for sm_90, 13.0 for sm_90 and sm_121. */
static void test_arch_of_both_abi_versions(void **state) {
  (void)state;
  Elf64_Ehdr header = cubin_header(7, 0x005a055a);
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 90);
  header = cubin_header(8, 0x06005a04);
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 90);
  header = cubin_header(8, 0x06007902);
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 121);
}

static void test_what_is_not_a_cubin(void **state) {
  (void)state;
  Elf64_Ehdr header = cubin_header(8, 0x06005a04);
  assert_int_equal(udm_cubin_arch(&header, sizeof header - 1), 0);
  assert_int_equal(udm_cubin_arch("", 0), 0);
  header.e_machine = EM_X86_64;
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 0);
  header = cubin_header(8, 0x06005a04);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 0);
  header.e_ident[0] = 0;
  assert_int_equal(udm_cubin_arch(&header, sizeof header), 0);
}

/* A header, one section header, and the 16 bytes of that section. */
struct cubin_with_a_section {
  Elf64_Ehdr header;
  Elf64_Shdr section;
  unsigned char contents[16];
};

static struct cubin_with_a_section cubin_with_a_section(void) {
  struct cubin_with_a_section cubin;
  memset(&cubin, 0, sizeof cubin);
  cubin.header = cubin_header(8, 0x06005a04);
  cubin.header.e_shoff = offsetof(struct cubin_with_a_section, section);
  cubin.header.e_shentsize = sizeof(Elf64_Shdr);
  cubin.header.e_shnum = 1;
  cubin.section.sh_type = SHT_PROGBITS;
  cubin.section.sh_offset = offsetof(struct cubin_with_a_section, contents);
  cubin.section.sh_size = sizeof cubin.contents;
  return cubin;
}

static void test_sections_must_lie_inside(void **state) {
  (void)state;
  struct cubin_with_a_section cubin = cubin_with_a_section();
  assert_null(udm_cubin_damage(&cubin, sizeof cubin));
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin - 1));
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin.header + 8));
  cubin.section.sh_offset = UINT64_MAX;
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin));
  cubin = cubin_with_a_section();
  cubin.section.sh_size = UINT64_MAX;
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin));
  cubin.section.sh_type = SHT_NOBITS; /* takes no room in the file */
  assert_null(udm_cubin_damage(&cubin, sizeof cubin));
  cubin = cubin_with_a_section();
  cubin.header.e_shoff = UINT64_MAX - 8;
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin));
  cubin = cubin_with_a_section();
  cubin.header.e_shentsize = 1;
  assert_non_null(udm_cubin_damage(&cubin, sizeof cubin));
  cubin.header.e_machine = EM_X86_64;
  assert_string_equal(udm_cubin_damage(&cubin, sizeof cubin), "its image is not a cubin");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_arch_of_both_abi_versions),
      cmocka_unit_test(test_what_is_not_a_cubin),
      cmocka_unit_test(test_sections_must_lie_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
