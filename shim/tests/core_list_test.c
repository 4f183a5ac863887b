// SPDX-License-Identifier: MIT
/* core_list_test.c - lists: what is written is read again, and whatever else comes is refused. */
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "test.h"

/* The encoding byte by byte, as vmnet_shim.h describes it. */
static void a_number_is_encoded_as_documented(void) {
  struct vn_writer w = {0};
  vn_write_number(&w, "mtu", 0x0102030405060708ull);
  static const uint8_t expected[] = {1, 3, 0, 0, 8, 0, 0, 0, 'm', 't', 'u', 8, 7, 6, 5, 4, 3, 2, 1};
  CHECK(w.length == sizeof expected && !memcmp(w.data, expected, sizeof expected));
  vn_writer_free(&w);
}

static void all_types_survive_the_round_trip(void) {
  struct vn_writer w = {0};
  struct vn_entry e;
  char text[32], big[300];
  memset(big, 'k', sizeof big);
  big[sizeof big - 1] = 0;
  vn_write_number(&w, "n", UINT64_MAX);
  vn_write_text(&w, "t", "höst");
  vn_write_bytes(&w, "b", "\0\1\2", 3);
  vn_write_text(&w, "empty", "");
  uint32_t mark = vn_write_begin(&w, "forward");
  vn_write_number(&w, "protocol", 6);
  vn_write_end(&w, mark);
  vn_write_number(&w, "n", 7); /* the last one counts */
  vn_write_text(&w, big + 44, "a key of 255");
  CHECK(!w.failed && vn_list_valid(w.data, w.length));
  CHECK(vn_list_number(w.data, w.length, "n", 0) == 7);
  CHECK(vn_list_number(w.data, w.length, "t", 5) == 5);
  CHECK(vn_list_text(w.data, w.length, "t", text, sizeof text) && !strcmp(text, "höst"));
  CHECK(!vn_list_text(w.data, w.length, "t", text, 5)); /* no room for the terminator */
  CHECK(vn_list_text(w.data, w.length, "empty", text, 1) && !text[0]);
  CHECK(vn_list_find(w.data, w.length, VN_BYTES, "b", &e) && e.length == 3 && !memcmp(e.value, "\0\1\2", 3));
  CHECK(vn_list_find(w.data, w.length, VN_LIST, "forward", &e));
  CHECK(vn_list_number(e.value, e.length, "protocol", 0) == 6);
  CHECK(vn_list_find(w.data, w.length, VN_TEXT, big + 44, &e) && e.key_length == 255);

  struct vn_writer copy = {0};
  struct vn_reader r;
  vn_list_read(&r, w.data, w.length);
  while (vn_list_next(&r, &e)) vn_write_entry(&copy, &e);
  CHECK(copy.length == w.length && !memcmp(copy.data, w.data, w.length));
  vn_writer_free(&copy);

  vn_write_text(&w, big + 43, "a key of 256");
  CHECK(w.failed);
  uint32_t before = w.length;
  vn_write_number(&w, "n", 1);
  CHECK(w.failed && w.length == before);
  vn_writer_free(&w);
}

static void malformed_lists_are_refused(void) {
  static const struct {
    const char *what;
    uint8_t bytes[24];
    uint32_t length;
  } lists[] = {
      {"half a header", {1, 1, 0, 0, 8}, 5},
      {"type 0", {0, 1, 0, 0, 0, 0, 0, 0, 'k'}, 9},
      {"type 5", {5, 1, 0, 0, 0, 0, 0, 0, 'k'}, 9},
      {"no key", {2, 0, 0, 0, 1, 0, 0, 0, 'v'}, 9},
      {"reserved bits", {2, 1, 1, 0, 1, 0, 0, 0, 'k', 'v'}, 10},
      {"key beyond the end", {2, 2, 0, 0, 0, 0, 0, 0, 'k'}, 9},
      {"value beyond the end", {2, 1, 0, 0, 2, 0, 0, 0, 'k', 'v'}, 10},
      {"4 GiB", {3, 1, 0, 0, 255, 255, 255, 255, 'k', 'v'}, 10},
      {"number of 7", {1, 1, 0, 0, 7, 0, 0, 0, 'k', 1, 2, 3, 4, 5, 6, 7}, 16},
      {"text with a NUL", {2, 1, 0, 0, 2, 0, 0, 0, 'k', 'v', 0}, 11},
      {"bad nested list", {4, 1, 0, 0, 1, 0, 0, 0, 'k', 1}, 10},
      {"bytes after the end", {3, 1, 0, 0, 0, 0, 0, 0, 'k', 9}, 10},
  };
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    uint8_t *exact = malloc(lists[i].length); /* so that AddressSanitizer sees one byte too far */
    memcpy(exact, lists[i].bytes, lists[i].length);
    bool refused = !vn_list_valid(exact, lists[i].length);
    if (!refused) fprintf(stderr, "accepted: %s\n", lists[i].what);
    CHECK(refused);
    free(exact);
  }
  CHECK(vn_list_valid(NULL, 0));
  CHECK(!vn_list_valid(NULL, 1));
}

static void lists_nest_four_levels_and_no_more(void) {
  for (int levels = 1; levels <= 6; levels++) {
    struct vn_writer w = {0};
    uint32_t marks[6];
    for (int i = 1; i < levels; i++) marks[i] = vn_write_begin(&w, "in");
    vn_write_number(&w, "n", 1);
    for (int i = levels - 1; i >= 1; i--) vn_write_end(&w, marks[i]);
    CHECK(vn_list_valid(w.data, w.length) == (levels <= 4));
    vn_writer_free(&w);
  }
}

/* Random bytes, and valid lists with a byte changed: reading must stay inside. */
static void random_bytes_never_read_outside(void) {
  uint32_t accepted = 0;
  srand(1);
  for (int i = 0; i < 200000; i++) {
    struct vn_writer w = {0};
    vn_write_text(&w, "mode", "shared");
    uint32_t mark = vn_write_begin(&w, "reservation");
    vn_write_bytes(&w, "mac", "\2\0\0\0\0\1", 6);
    vn_write_end(&w, mark);
    vn_write_number(&w, "mtu", 1500);
    uint32_t length = w.length - (uint32_t)rand() % 4;
    uint8_t *exact = malloc(length);
    memcpy(exact, w.data, length);
    if (i & 1) for (uint32_t b = 0; b < length; b++) exact[b] = (uint8_t)(rand() % 6);
    else exact[(uint32_t)rand() % length] = (uint8_t)rand();
    char text[8];
    accepted += vn_list_valid(exact, length);
    vn_list_number(exact, length, "mtu", 0);
    vn_list_text(exact, length, "mode", text, sizeof text);
    free(exact);
    vn_writer_free(&w);
  }
  CHECK(accepted > 0); /* a changed key or value is still a list */
}

int main(void) {
  RUN(a_number_is_encoded_as_documented);
  RUN(all_types_survive_the_round_trip);
  RUN(malformed_lists_are_refused);
  RUN(lists_nest_four_levels_and_no_more);
  RUN(random_bytes_never_read_outside);
  return finish();
}
