/*
 * cache.h: the cache of compiled images. It knows keys and bytes, nothing of
 * CUDA. A problem in it is a miss and a log line, never a failure of the caller.
 * docs/CACHE.md states its promises.
 *
 * A layer is a folder: layer 0 is the writable one, 1 and up are read-only. A
 * folder holds entries (sm_90-<hash>-<hash>.cubin), temporary files of writers,
 * and a lock file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CACHE_CACHE_H
#define UDM_RUNTIME_CACHE_CACHE_H

#include <sys/stat.h>

#include "core/settings.h"
#include "core/status.h"

/* ------------------------------------------------------------------------
 * cache_entry.c: the bytes and the name of an entry
 *
 *     image      the cubin: the file opens as one
 *     key text   everything that the image depends on
 *     producer   the compiler that made it, as text
 *     footer     sizes, format version, checksum of all bytes before it
 * --------------------------------------------------------------------- */

#define UDM_CACHE_FORMAT 1u

/* Key text and producer, each with its terminating 0, fit in this size. */
#define UDM_CACHE_TEXT_SIZE 512

/* No cubin of this kernel comes near this size: a larger file is not an entry. */
#define UDM_CACHE_LARGEST_ENTRY ((size_t)64 << 20)

struct cache_key {
  const char *arch_name; /* "sm_90": the file name begins with it */
  const char *text;      /* everything that the image depends on, except its producer */
  const char *producer;  /* the compiler, its version and build; NULL: any */
};

/* Pointers into the bytes of an entry. The texts are not 0-terminated. */
struct cache_entry_view {
  const unsigned char *image;
  size_t image_size;
  const char *text;
  size_t text_size;
  const char *producer;
  size_t producer_size;
};

/* Builds a whole entry in memory. The caller frees *bytes with udm_free(). */
udm_status udm_cache_entry_encode(const struct cache_key *key, const void *image, size_t image_size,
                                  unsigned char **bytes, size_t *size, struct error *error);

/* Checks every byte and fills the view. CACHE if the bytes are not a whole entry. */
udm_status udm_cache_entry_decode(const unsigned char *bytes, size_t size,
                                  struct cache_entry_view *view, struct error *error);

/* True if the entry has this key: the same text and, unless the key's is NULL, producer. */
bool udm_cache_entry_matches(const struct cache_entry_view *view, const struct cache_key *key);

#define UDM_CACHE_NAME_SIZE 160

/* "sm_90-<hash of the key text>-": all entries of a key text have names that begin so. */
void udm_cache_entry_prefix(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]);

/* The name of the file: the prefix, the hash of the producer (not NULL), ".cubin". */
void udm_cache_entry_name(const struct cache_key *key, char name[UDM_CACHE_NAME_SIZE]);

/* True if a file name is that of an entry, "sm_90-*.cubin". The cache ignores other files. */
bool udm_cache_is_entry_name(const char *name);

/* ------------------------------------------------------------------------
 * cache_dir.c: the folder of a layer
 * --------------------------------------------------------------------- */

struct cache_dir {
  bool writable;
  int fd;      /* -1: not open */
  char *path;  /* "" if no folder is known; UDM_PATH_TOO_LONG if no system call would take the
                  path; NULL if there was no memory for it */
  bool system; /* installed with the library */
  struct stat library; /* of the file that holds the library, if so */
};
#define UDM_CACHE_DIR_INIT \
  { .fd = -1 }

#define UDM_PATH_TOO_LONG "(a path that is too long)"

/*
 * Describes layer `index` without opening it. Returns false past the last layer.
 * Call udm_cache_dir_close() afterwards, whatever happens in between.
 */
bool udm_cache_dir_at(const struct settings *settings, int index, struct cache_dir *dir);

/*
 * Opens the folder; with `create`, makes the writable one first. Returns OK;
 * NOT_FOUND if there is no such folder; CACHE if it cannot be used, or its owner
 * or mode is not trusted; OUT_OF_MEMORY.
 */
udm_status udm_cache_dir_open(struct cache_dir *dir, bool create, struct error *error);
void udm_cache_dir_close(struct cache_dir *dir);

/* The path as messages show it: "(none)" if no folder is known. */
const char *udm_cache_dir_name(const struct cache_dir *dir);

/* The path of a file in the folder, for messages. Cut if it is longer than any path. */
void udm_cache_dir_file_path(const struct cache_dir *dir, const char *name,
                             char path[UDM_PATH_SIZE]);

/*
 * CACHE if the owner or mode of a folder or file of this layer is not trusted. A
 * read-only layer may belong to root. The system layer may belong to whoever may write the library.
 */
udm_status udm_cache_dir_check_owner(const struct cache_dir *dir, const struct stat *status,
                                     struct error *error);

/* ------------------------------------------------------------------------
 * cache_system_layer.c: the read-only layer that is installed with the library
 * --------------------------------------------------------------------- */

/* Finds its folder, and the status of the file that holds the library. False if there is none. */
bool udm_cache_system_layer(char path[UDM_PATH_SIZE], struct stat *library);

/* ------------------------------------------------------------------------
 * cache_file.c: one file of a folder
 * --------------------------------------------------------------------- */

struct cache_file {
  unsigned char *bytes; /* the caller frees them with udm_free() */
  size_t size;
  struct stat status; /* all 0 if stat() failed, too */
  bool missing;       /* another process has removed it */
};

/*
 * Reads a whole file. Symbolic links are not followed, FIFOs and folders not
 * opened, files of other users not trusted. The access time stays if the system
 * allows that. CACHE or OUT_OF_MEMORY if the file cannot be read.
 */
udm_status udm_cache_file_read(const struct cache_dir *dir, const char *name,
                               struct cache_file *file, struct error *error);

/* True if a file cannot be an entry, whatever it holds: it is not regular, or too large. */
bool udm_cache_file_not_an_entry(const struct stat *status);

/* Records that an entry was used: sets its access time, to about a minute. */
void udm_cache_file_touch(const struct cache_dir *dir, const char *name, const struct stat *status);

/*
 * Returns `seconds`, or 0 if that is more than a day in the future, set by a
 * wrong clock: such a file would count as the newest until then.
 */
int64_t udm_cache_sane_mtime(int64_t seconds);

/* When an entry was last used or made. 0: not known, since it was "used" in the future. */
int64_t udm_cache_file_last_used(const struct stat *status);

/*
 * Writes a file so that readers see the old one, the new one, or none, even if
 * the machine stops in between. Replaces whatever has the name.
 */
udm_status udm_cache_file_write(const struct cache_dir *dir, const char *name, const void *bytes,
                                size_t size, struct error *error);

/* True if a file name is that of a temporary file, which a writer renames when it is complete. */
bool udm_cache_is_temporary_name(const char *name);

enum cache_removal {
  CACHE_REMOVED,
  CACHE_REMOVAL_IN_USE,
  CACHE_REMOVAL_REPLACED, /* the name belongs to another file by now, which stays */
  CACHE_REMOVAL_FAILED    /* *error says why */
};

/*
 * Removes a file unless another process is reading or writing it, or `status`
 * is no longer the status of the file with that name. A folder that is not empty
 * is renamed instead, to end in ".folder-<inode>". With dry_run, only returns
 * what would happen.
 */
enum cache_removal udm_cache_file_remove(const struct cache_dir *dir, const char *name,
                                         const struct stat *status, bool dry_run,
                                         struct error *error);

/* ------------------------------------------------------------------------
 * cache_lock.c: advisory locks
 *
 * They are locks of open file descriptions: threads exclude each other as
 * processes do, and the system drops a lock when its holder dies. No lock file is
 * ever removed, so none can vanish under a waiter. Only saved work depends on
 * them: on a file system without locks, a kernel is compiled more than once.
 * --------------------------------------------------------------------- */

#define UDM_CACHE_LOCK_FILE ".lock"

/* file < 0: not held. */
struct cache_lock {
  int file;
  off_t start;
};
#define UDM_CACHE_LOCK_INIT \
  { -1, 0 }

enum cache_lock_outcome {
  CACHE_LOCKED, /* at once */
  CACHE_LOCKED_AFTER_WAIT,
  CACHE_LOCK_CANCELLED,   /* the host asked to stop; the lock is not held */
  CACHE_LOCK_TIMED_OUT,   /* another holder kept it for longer than the settings allow */
  CACHE_LOCK_UNAVAILABLE, /* no folder to lock in, or a file system without locks */
};

/*
 * Takes the lock, in the writable layer, that whoever builds an image with this
 * key text holds. Waits while another process or thread holds it.
 */
enum cache_lock_outcome udm_cache_lock_key(const struct settings *settings,
                                           const struct cache_key *key, struct cache_lock *lock);

/* Takes the lock of the folder's removals. Returns false, without waiting, if it is taken. */
bool udm_cache_lock_removals(const struct cache_dir *dir, struct cache_lock *lock);

/* Does nothing if the lock is not held. */
void udm_cache_unlock(struct cache_lock *lock);

/* Marks an open file as being read (or written) until it is closed. May fail silently. */
void udm_cache_mark_in_use(int file, bool writing);

enum cache_use { CACHE_NOT_IN_USE, CACHE_IN_USE, CACHE_USE_UNKNOWN };

/*
 * Tries to hold an open file alone. CACHE_NOT_IN_USE: nobody can mark the file
 * until it is closed, provided that it is open for writing.
 */
enum cache_use udm_cache_try_exclusive(int file);

/* True if locks are known not to work on a file system (statfs f_type). */
bool udm_cache_has_no_locks(long file_system_type);

/* ------------------------------------------------------------------------
 * cache_lookup.c: the entries of a key, one after another
 *
 *     status = udm_cache_lookup_begin(settings, &key, flags, &lookup, error);
 *     if (status != UDM_OK) return status;
 *     while (udm_cache_lookup_next(lookup, &hit)) {
 *       if (it can be used) { udm_cache_lookup_accept(lookup); break; }
 *       udm_cache_lookup_pass_over(lookup, why);
 *     }
 *     status = udm_cache_lookup_end(lookup, error);
 * --------------------------------------------------------------------- */

/* A whole entry of the key, valid until the next call with the lookup. */
struct cache_hit {
  const unsigned char *image;
  size_t image_size;
  bool writable;                      /* in the writable layer */
  const char *path;                   /* for messages */
  char producer[UDM_CACHE_TEXT_SIZE]; /* cut if it is longer than any of this library */
};

enum cache_lookup_flags {
  CACHE_LOOKUP_FIRST = 1, /* count a miss, and report folders that cannot be used */
  CACHE_LOOKUP_REPAIR = 2 /* record the use of an accepted entry, and remove damaged entries from
                             the writable layer. Without it, a lookup changes nothing. */
};

/* Why a lookup found nothing, from the least that was there to the most. */
enum cache_miss {
  CACHE_MISS_NO_ENTRY,
  CACHE_MISS_DAMAGED,
  CACHE_MISS_WRONG_ARCH, /* the image is for another architecture than the key says */
  CACHE_MISS_REJECTED
};

struct cache_lookup;

/* Starts a lookup. The settings and the key must outlive it. OUT_OF_MEMORY. */
udm_status udm_cache_lookup_begin(const struct settings *settings, const struct cache_key *key,
                                  unsigned flags, struct cache_lookup **lookup,
                                  struct error *error);

/*
 * Finds the next whole entry, layer by layer, and within a layer the newest file
 * first, since several producers may have made one. Damaged files are recorded,
 * repaired and skipped. Returns false after the last entry, and if there is no
 * memory to read one.
 */
bool udm_cache_lookup_next(struct cache_lookup *lookup, struct cache_hit *hit);

/* The last hit is used: counts it, and records the use if the flags say so. */
void udm_cache_lookup_accept(struct cache_lookup *lookup);

/* The last hit is damaged: nobody can use it. Removes it if the flags say so. */
void udm_cache_lookup_reject(struct cache_lookup *lookup, enum cache_miss miss, const char *reason);

/* This node cannot use the last hit, for this reason. It stays: another node may need it. */
void udm_cache_lookup_pass_over(struct cache_lookup *lookup, const char *reason);

/*
 * Frees the lookup (NULL is allowed). Returns OK if a hit was accepted;
 * OUT_OF_MEMORY if an entry could not be read for lack of memory; else NOT_FOUND
 * with the reason of each layer and entry. A lookup that ends before its last
 * entry without an accepted one counts no miss.
 */
udm_status udm_cache_lookup_end(struct cache_lookup *lookup, struct error *error);

/* ------------------------------------------------------------------------
 * cache_store.c and cache_evict.c: writing entries, and keeping the folder small
 * --------------------------------------------------------------------- */

/*
 * Writes an entry into the writable layer, then evicts. path receives the
 * path of the entry. CACHE or OUT_OF_MEMORY if the entry cannot be written: a later
 * process then compiles again.
 */
udm_status udm_cache_store(const struct settings *settings, const struct cache_key *key,
                           const void *image, size_t image_size, char path[UDM_PATH_SIZE],
                           struct error *error);

/* The same for the bytes of a whole entry and its file name. */
udm_status udm_cache_store_entry(const struct settings *settings, const char *name,
                                 const void *bytes, size_t size, char path[UDM_PATH_SIZE],
                                 struct error *error);

struct cache_listing_item {
  char *name;
  struct stat status;
  bool is_entry; /* else a temporary file */
  bool gone;     /* removed since the folder was listed */
  bool in_use;   /* could not be removed: another process uses it */
};

/* The entries and temporary files of a folder, the least recently used first. */
struct cache_listing {
  struct cache_listing_item *items;
  size_t count;
  size_t capacity;
};

/* Lists an open folder. OUT_OF_MEMORY, or CACHE if the folder cannot be read to its end. */
udm_status udm_cache_list(const struct cache_dir *dir, struct cache_listing *listing,
                          struct error *error);
void udm_cache_listing_free(struct cache_listing *listing);

/* The bytes of all entries that are not gone. */
uint64_t udm_cache_listing_bytes(const struct cache_listing *listing);

/*
 * True if a temporary file is so old that its writer may be gone: a minute, since
 * a new one may not be marked as in use yet, or a day if marks do not work.
 * udm_cache_file_remove() leaves the files of running writers alone.
 */
bool udm_cache_is_leftover(const struct cache_dir *dir, const struct cache_listing_item *item);

/*
 * Removes temporary files of killed writers and files that cannot be entries, then
 * entries, least recently used first, until the size limit is kept. The entry
 * named `keep` stays, and so do entries that are being read. A problem is a line
 * in the log.
 */
void udm_cache_evict(const struct settings *settings, const struct cache_dir *dir,
                     const char *keep);

#endif
