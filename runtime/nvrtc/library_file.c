/*
 * library_file.c: finds the file of a shared library and checks that it is whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nvrtc/library_file.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/allocator.h"

/* Opens a regular file; -1 if it is none. Does not wait for the writer of a FIFO. */
static int open_file(const char *path, uint64_t *size) {
  struct stat status;
  const int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return -1;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file);
    return -1;
  }
  *size = (uint64_t)status.st_size;
  return file;
}

static bool read_at(int file, uint64_t offset, void *bytes, size_t size) {
  return pread(file, bytes, size, (off_t)offset) == (ssize_t)size;
}

/* Reads the header of an ELF file. Returns false for others. */
static bool read_header(int file, ElfW(Ehdr) * header) {
  return read_at(file, 0, header, sizeof *header) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
}

/* True for an ELF file of this process's word size. */
static bool is_native(const ElfW(Ehdr) * header) {
  return header->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
}

static uint64_t end_of(uint64_t offset, uint64_t size) {
  return size > UINT64_MAX - offset ? UINT64_MAX : offset + size;
}

static void include(uint64_t *end, uint64_t other) {
  if (other > *end) *end = other;
}

/* The size that the file must have for its headers, segments and sections. */
static uint64_t needed_size(int file, const ElfW(Ehdr) * header) {
  uint64_t end = sizeof *header;
  ElfW(Phdr) segment;
  ElfW(Shdr) section;
  include(&end, end_of(header->e_phoff, (uint64_t)header->e_phnum * header->e_phentsize));
  include(&end, end_of(header->e_shoff, (uint64_t)header->e_shnum * header->e_shentsize));
  for (unsigned i = 0; i < header->e_phnum && header->e_phentsize == sizeof segment; ++i) {
    if (!read_at(file, header->e_phoff + i * sizeof segment, &segment, sizeof segment)) break;
    if (segment.p_type == PT_LOAD) include(&end, end_of(segment.p_offset, segment.p_filesz));
  }
  for (unsigned i = 0; i < header->e_shnum && header->e_shentsize == sizeof section; ++i) {
    if (!read_at(file, header->e_shoff + i * sizeof section, &section, sizeof section)) break;
    if (section.sh_type != SHT_NOBITS) include(&end, end_of(section.sh_offset, section.sh_size));
  }
  return end;
}

udm_status udm_library_file_check(const char *path, struct error *error) {
  ElfW(Ehdr) header;
  uint64_t size = 0;
  uint64_t needed = 0;
  const int file = open_file(path, &size);
  if (file < 0) return UDM_OK;
  if (read_header(file, &header) && is_native(&header)) needed = needed_size(file, &header);
  close(file);
  if (needed <= size) return UDM_OK;
  return udm_fail(error, UDM_ERROR_NO_NVRTC,
                  "%s is truncated: it has %" PRIu64 " bytes, and its own headers need %" PRIu64
                  ": install its package again, or remove the file",
                  path, size, needed);
}

/* ------------------------------------------------------------------------
 * Where the loader finds a bare name
 * --------------------------------------------------------------------- */

#ifdef __GLIBC__ /* other loaders do not say where they search */

/* The loader takes the first file of the name that it can open, but none of another word size. */
static bool is_for_loader(const char *path) {
  ElfW(Ehdr) header;
  uint64_t size = 0;
  const int file = open_file(path, &size);
  const bool passed_over = file >= 0 && read_header(file, &header) && !is_native(&header);
  if (file >= 0) close(file);
  return file >= 0 && !passed_over;
}

/* The system's own folders, which the loader searches after its cache. */
static bool is_default(const char *folder) {
  const char *rest = strncmp(folder, "/usr", 4) == 0 ? folder + 4 : folder;
  if (strncmp(rest, "/lib", 4) != 0) return false;
  rest += 4;
  if (strncmp(rest, "64", 2) == 0) rest += 2;
  return *rest == '\0' || strstr(rest, "-linux-gnu") != NULL;
}

static bool find_in_folders(void *handle, bool defaults, const char *name,
                            char path[UDM_PATH_SIZE]) {
  Dl_serinfo size;
  bool found = false;
  if (dlinfo(handle, RTLD_DI_SERINFOSIZE, &size) != 0) return false;
  Dl_serinfo *folders = udm_malloc(size.dls_size);
  if (!folders) return false;
  if (dlinfo(handle, RTLD_DI_SERINFOSIZE, folders) == 0 &&
      dlinfo(handle, RTLD_DI_SERINFO, folders) == 0) {
    for (unsigned i = 0; i < folders->dls_cnt && !found; ++i) {
      const char *folder = folders->dls_serpath[i].dls_name;
      if (is_default(folder) != defaults) continue;
      snprintf(path, UDM_PATH_SIZE, "%s/%s", folder, name);
      found = is_for_loader(path);
    }
  }
  udm_free(folders);
  return found;
}

/* The loader's folders for a library that this code opens, without its cache. */
static bool find_in_loader_folders(bool defaults, const char *name, char path[UDM_PATH_SIZE]) {
  static const char here = 0;
  Dl_info info;
  void *known = NULL;
  if (!dladdr1(&here, &info, &known, RTLD_DL_LINKMAP)) return false;
  const struct link_map *map = known;
  void *handle = dlopen(map && *map->l_name ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) {
    dlerror(); /* this clears the message */
    return false;
  }
  const bool found = find_in_folders(handle, defaults, name, path);
  dlclose(handle);
  return found;
}

/* The loader's cache, as glibc's ldconfig writes it; offsets count from the magic. */
struct loader_cache {
  char magic[20]; /* "glibc-ld.so.cache1.1" */
  uint32_t entry_count;
  uint32_t text_size;
  uint32_t others[5];
  struct {
    int32_t flags;
    uint32_t name;
    uint32_t path;
    uint32_t system_version;
    uint64_t capabilities;
  } entries[];
};

/* A text of the cache; NULL if it does not end within the cache. */
static const char *cache_text(const struct loader_cache *cache, size_t size, uint32_t offset) {
  const char *text = (const char *)cache + offset;
  return offset < size && memchr(text, '\0', size - offset) ? text : NULL;
}

static bool find_in_cache(const struct loader_cache *cache, size_t size, const char *name,
                          char path[UDM_PATH_SIZE]) {
  if (size < sizeof *cache) return false;
  const size_t most = (size - sizeof *cache) / sizeof cache->entries[0];
  for (size_t i = 0; i < cache->entry_count && i < most; ++i) {
    const char *key = cache_text(cache, size, cache->entries[i].name);
    const char *file = cache_text(cache, size, cache->entries[i].path);
    if (!key || !file || strcmp(key, name) != 0) continue;
    snprintf(path, UDM_PATH_SIZE, "%s", file);
    if (is_for_loader(path)) return true;
  }
  return false;
}

static bool find_in_loader_cache(const char *name, char path[UDM_PATH_SIZE]) {
  static const char magic[] = "glibc-ld.so.cache1.1";
  uint64_t size = 0;
  const int file = open_file("/etc/ld.so.cache", &size);
  if (file < 0) return false;
  void *bytes = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  close(file);
  if (bytes == MAP_FAILED) return false;
  /* ldconfig of glibc before 2.32 puts an older format before this one */
  const char *start = memmem(bytes, size, magic, strlen(magic));
  const bool found = start && (uintptr_t)start % sizeof(uint64_t) == 0 &&
                     find_in_cache((const struct loader_cache *)(const void *)start,
                                   size - (size_t)(start - (const char *)bytes), name, path);
  munmap(bytes, size);
  return found;
}

static bool find_name(const char *name, char path[UDM_PATH_SIZE]) {
  return find_in_loader_folders(false, name, path) || find_in_loader_cache(name, path) ||
         find_in_loader_folders(true, name, path);
}

#else

static bool find_name(const char *name, char path[UDM_PATH_SIZE]) {
  (void)name;
  (void)path;
  return false;
}

#endif

void udm_library_file(const char *library, char path[UDM_PATH_SIZE]) {
  if (strchr(library, '/')) {
    snprintf(path, UDM_PATH_SIZE, "%s", library);
  } else if (!find_name(library, path)) {
    path[0] = '\0';
  }
}

bool udm_library_files_add(struct library_files *files, const char *path) {
  struct stat status;
  if (stat(path, &status) != 0) return true;
  for (int i = 0; i < files->count; ++i) {
    if (files->files[i].device == status.st_dev && files->files[i].number == status.st_ino) {
      return false;
    }
  }
  if (files->count < (int)(sizeof files->files / sizeof files->files[0])) {
    files->files[files->count].device = status.st_dev;
    files->files[files->count].number = status.st_ino;
    ++files->count;
  }
  return true;
}
