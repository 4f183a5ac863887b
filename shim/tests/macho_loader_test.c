// SPDX-License-Identifier: MIT
/*
 * macho_loader_test.c - the Mach-O loader and its libc: two small dylibs that were cross-built for macOS, one with
 * dyld-info and one with chained fixups, do what a program does there; files that are cut off or changed are refused.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doubles/double.h"
#include "doubles/macho.h"
#include "test.h"

static const char *const files[] = {"fixups.dylib", "fixups-chained.dylib"};
static char directory[] = "/tmp/macho-test-XXXXXX";
static struct macho *images[2];

static char *beside(const char *name) {
  static char text[4096];
  macho_beside(name, text, sizeof text);
  return text;
}

static void they_are_mapped(void) {
  for (int i = 0; i < 2; i++) {
    struct macho_error error;
    images[i] = macho_host_open(beside(files[i]), &error);
    if (images[i] == NULL) fprintf(stderr, "%s: %s\n", files[i], error.text);
    CHECK(images[i] != NULL);
    if (images[i] == NULL) exit(1);
    CHECK(macho_symbol(images[i], "fixture_nothing") == NULL && macho_symbol(images[i], "fixture") == NULL);
    CHECK(macho_entry(images[i]) == NULL);
    CHECK(macho_contains(images[i], macho_symbol(images[i], "fixture_weak")));
  }
}

/* Calls a function of each image, which answers 0 or the line where something is wrong. */
static void calls(const char *name, const void *first, const void *second) {
  for (int i = 0; i < 2; i++) {
    int (*function)(const void *, const void *) = (int (*)(const void *, const void *))macho_symbol(images[i], name);
    int line = function != NULL ? function(first, second) : -1;
    if (line != 0) fprintf(stderr, "%s: %s: line %d, errno %d\n", files[i], name, line, errno);
    CHECK(line == 0);
  }
}

static void pointers_are_right(void) { calls("fixture_pointers", NULL, NULL); }
static void files_are_as_on_a_mac(void) { calls("fixture_files", directory, NULL); }
static void sockets_are_as_on_a_mac(void) { calls("fixture_sockets", directory, NULL); }
static void tcp_is_as_on_a_mac(void) { calls("fixture_tcp", NULL, NULL); }
static void datagrams_are_as_on_a_mac(void) { calls("fixture_datagrams", directory, NULL); }
static void threads_are_as_on_a_mac(void) { calls("fixture_threads", NULL, NULL); }
static void the_process_is_as_on_a_mac(void) { calls("fixture_process", NULL, NULL); }

static void variable_arguments_arrive(void) {
  for (int i = 0; i < 2; i++) {
    char text[200] = "";
    int (*format)(char *, size_t) = (int (*)(char *, size_t))macho_symbol(images[i], "fixture_format");
    int length = format(text, sizeof text);
    CHECK(strcmp(text, "-1 text x 1099511627776 0a 7 -9 2.500 8 9") == 0 && length == (int)strlen(text));
    CHECK(format(text, 5) == length && strcmp(text, "-1 t") == 0);
  }
}

static void programs_are_spawned(void) {
  char path[200];
  snprintf(path, sizeof path, "%s/program", directory);
  FILE *script = fopen(path, "w");
  fputs("#!/bin/sh\n[ \"$1\" = seven ] && [ -e /proc/self/fd/5 ] && [ ! -e /proc/self/fd/9 ] && exit 7\n", script);
  fclose(script);
  chmod(path, 0700);
  int stray = fcntl(0, F_DUPFD, 9); /* inheritable, as a runtime's may be */
  calls("fixture_spawn", path, environ);
  close(stray);
  unlink(path);
}

static int weak_bits(const char *macos, int i) {
  struct macho_error error;
  double_set("macos", macos);
  struct macho *image = macho_open(beside(files[i]), macho_find_here, &error);
  double_set("macos", "26.0");
  CHECK(image != NULL);
  int (*weak)(void) = image ? (int (*)(void))macho_symbol(image, "fixture_weak") : NULL;
  int bits = weak ? weak() : -1;
  if (image) macho_close(image);
  return bits;
}

static void what_is_too_new_is_null(void) {
  for (int i = 0; i < 2; i++) {
    CHECK(weak_bits("26.0", i) == 3);
    CHECK(weak_bits("15.4", i) == 2);
    CHECK(weak_bits("13.6", i) == 0);
    setenv("MACHO_OLD", "1", 1);
    CHECK(weak_bits("26.0", i) == 2);
    unsetenv("MACHO_OLD");
  }
}

/* Files that are wrong. */

static uint8_t *contents(int i, size_t *size) {
  struct stat status;
  int fd = open(beside(files[i]), O_RDONLY);
  if (fd < 0 || fstat(fd, &status) != 0) exit(1);
  uint8_t *bytes = malloc((size_t)status.st_size);
  *size = (size_t)status.st_size;
  if (bytes == NULL || read(fd, bytes, *size) != (ssize_t)*size) exit(1);
  close(fd);
  return bytes;
}

static void *find_some(const char *name, const char *library, bool weak) {
  (void)library, (void)weak;
  return strcmp(name, "_snprintf") == 0 || strcmp(name, "_socket") == 0 ? NULL : macho_find_here(name, NULL, true);
}

static void a_missing_import_is_named(void) {
  for (int i = 0; i < 2; i++) {
    struct macho_error error;
    CHECK(macho_open(beside(files[i]), find_some, &error) == NULL);
    CHECK(strncmp(error.text, "not modelled: ", 14) == 0);
    CHECK(strstr(error.text, "_snprintf") != NULL && strstr(error.text, "_socket") != NULL);
    CHECK(strlen(error.text) == strlen("not modelled: _snprintf _socket ")); /* each once, and no other */
  }
}

static bool loads(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size ? size : 1); /* so that a sanitizer sees one byte too many */
  struct macho_error error;
  if (copy == NULL) exit(1);
  memcpy(copy, bytes, size);
  struct macho *image = macho_load(copy, size, "changed", macho_find_here, &error);
  free(copy);
  if (image == NULL) CHECK(error.text[0] != 0);
  if (image != NULL) macho_symbol(image, "fixture_weak"), macho_close(image);
  return image != NULL;
}

static void a_file_that_is_cut_off_is_refused(void) {
  for (int i = 0; i < 2; i++) {
    size_t size;
    uint8_t *bytes = contents(i, &size);
    CHECK(loads(bytes, size));
    for (size_t length = 0; length < size; length += length < 4096 ? 7 : 397) CHECK(!loads(bytes, length));
    free(bytes);
  }
}

/* Any byte of the headers, of the link data, and some between: never a crash. */
static void a_changed_byte_does_no_harm(void) {
  for (int i = 0; i < 2; i++) {
    size_t size;
    int refused = 0;
    uint8_t *bytes = contents(i, &size);
    for (size_t at = 0; at < size; at += at < 2048 || at > size - 8192 ? 3 : 129) {
      uint8_t before = bytes[at];
      bytes[at] ^= (uint8_t)(1 + at % 255);
      refused += !loads(bytes, size);
      bytes[at] = before;
    }
    CHECK(refused > 100);
    free(bytes);
  }
}

static void what_is_not_modelled_is_refused(void) {
  size_t size;
  struct macho_error error;
  uint8_t *bytes = contents(0, &size);
  uint32_t at = 32; /* the first section of the first segment becomes a list of initializers */
  memcpy(bytes + at + 72 + 64, "\x09\0\0\0", 4);
  CHECK(macho_load(bytes, size, "init", macho_find_here, &error) == NULL && strstr(error.text, "initializers") != NULL);
  memcpy(bytes + at + 72 + 64, "\x11\0\0\0", 4);
  CHECK(macho_load(bytes, size, "tlv", macho_find_here, &error) == NULL && strstr(error.text, "thread-locals") != NULL);
  bytes[4] ^= 0xff;
  CHECK(macho_load(bytes, size, "cpu", macho_find_here, &error) == NULL && strstr(error.text, "another CPU") != NULL);
  free(bytes);
}

int main(void) {
  if (mkdtemp(directory) == NULL) return 1;
  signal(SIGPIPE, SIG_DFL); /* so that SO_NOSIGPIPE is needed */
  RUN(they_are_mapped);
  RUN(pointers_are_right);
  RUN(variable_arguments_arrive);
  RUN(files_are_as_on_a_mac);
  RUN(sockets_are_as_on_a_mac);
  RUN(tcp_is_as_on_a_mac);
  RUN(datagrams_are_as_on_a_mac);
  RUN(threads_are_as_on_a_mac);
  RUN(programs_are_spawned);
  RUN(the_process_is_as_on_a_mac);
  RUN(what_is_too_new_is_null);
  RUN(a_missing_import_is_named);
  RUN(a_file_that_is_cut_off_is_refused);
  RUN(a_changed_byte_does_no_harm);
  RUN(what_is_not_modelled_is_refused);
  rmdir(directory);
  return finish();
}
