/*
 * Loaded with LD_PRELOAD into a process whose disk is to fail: calls that write below MILLRACE_FAULT_FOLDER fail
 * as a control file says, which the test changes while the process runs. Compiled and steered by disk-fault.ts;
 * everything outside of the folder, and every call while no fault is set, goes through untouched.
 *
 * The control file is mapped: { fault, delay in ms, hits }, three 32-bit integers. `hits` counts what was hit, so
 * that the test can tell that its fault happened.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum fault { NONE, NO_SPACE, WRITE_ERROR, SYNC_ERROR, READ_ONLY, SLOW, TORN, READ_ERROR };

struct control {
  volatile int32_t fault;
  volatile int32_t delay_ms;
  volatile int32_t hits;
};

static struct control *control;
static char folder[4096];
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("MILLRACE_FAULT_CONTROL");
  const char *below = getenv("MILLRACE_FAULT_FOLDER");
  if (file == NULL || below == NULL || strlen(below) >= sizeof folder) return;
  strcpy(folder, below);
  folder_length = strlen(below);
  int fd = open(file, O_RDWR);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

static int fault_now(void) { return control == NULL ? NONE : control->fault; }

static int is_ours(const char *path) {
  return path != NULL && strncmp(path, folder, folder_length) == 0;
}

static int is_our_fd(int fd) {
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_ours(path);
}

static int hit(int number) {
  __sync_fetch_and_add(&control->hits, 1);
  errno = number;
  return -1;
}

static void wait_a_while(void) {
  __sync_fetch_and_add(&control->hits, 1);
  struct timespec pause = {control->delay_ms / 1000, (control->delay_ms % 1000) * 1000000L};
  nanosleep(&pause, NULL);
}

/* -1: the call fails; 0: it goes through; above 0: only so many bytes of it do. */
static ssize_t before_write(int fd, size_t count) {
  int fault = fault_now();
  if (fault == NONE || fault == SYNC_ERROR || fault == READ_ERROR || !is_our_fd(fd)) return 0;
  if (fault == SLOW) {
    wait_a_while();
    return 0;
  }
  /* A torn write leaves half of what was to be written, and no room for the rest. */
  if (fault == TORN && count > 64) {
    __sync_fetch_and_add(&control->hits, 1);
    return (ssize_t)(count / 2);
  }
  return hit(fault == WRITE_ERROR ? EIO : fault == READ_ONLY ? EROFS : ENOSPC);
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  ssize_t verdict = before_write(fd, count);
  return verdict < 0 ? -1 : real(fd, bytes, verdict > 0 ? (size_t)verdict : count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  ssize_t verdict = before_write(fd, count);
  return verdict < 0 ? -1 : real(fd, bytes, verdict > 0 ? (size_t)verdict : count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  ssize_t verdict = before_write(fd, count);
  return verdict < 0 ? -1 : real(fd, bytes, verdict > 0 ? (size_t)verdict : count, at);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) {
  REAL(ssize_t, "pread", int, void *, size_t, off_t);
  if (fault_now() == READ_ERROR && is_our_fd(fd)) return hit(EIO);
  return real(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
  REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
  if (fault_now() == READ_ERROR && is_our_fd(fd)) return hit(EIO);
  return real(fd, bytes, count, at);
}

static int before_sync(int fd) {
  int fault = fault_now();
  if (fault == NONE || !is_our_fd(fd)) return 0;
  if (fault == SLOW) wait_a_while();
  return fault == SYNC_ERROR ? hit(EIO) : 0;
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  return before_sync(fd) < 0 ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  return before_sync(fd) < 0 ? -1 : real(fd);
}

static int before_change(const char *path) {
  int fault = fault_now();
  if (fault == NONE || !is_ours(path)) return 0;
  return fault == READ_ONLY ? hit(EROFS) : 0;
}

static int before_open(const char *path, int flags) {
  int fault = fault_now();
  if (fault == NONE || !is_ours(path)) return 0;
  int writes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
  if (writes && fault == READ_ONLY) return hit(EROFS);
  int creates = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
  if (creates && fault == NO_SPACE) return hit(ENOSPC);
  return 0;
}

static mode_t mode_of(int flags, va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

#define OPEN_LIKE(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = mode_of(flags, more); \
    va_end(more); \
    return before_open(path, flags) < 0 ? -1 : real(path, flags, mode); \
  }

OPEN_LIKE(open)
OPEN_LIKE(open64)

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  return before_change(from) < 0 ? -1 : real(from, to);
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  return before_change(path) < 0 ? -1 : real(path);
}

int rmdir(const char *path) {
  REAL(int, "rmdir", const char *);
  return before_change(path) < 0 ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  /* A folder that is there is found to be there, also on a disk that takes no writes. */
  if (access(path, F_OK) != 0 && before_change(path) < 0) return -1;
  return real(path, mode);
}
