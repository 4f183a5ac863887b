// SPDX-License-Identifier: MIT
/* Replay of capture files: every format, in time and at once, again and again; and files that are none. */
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "plane/pcapng.h"
#include "plane_hooks.h"

static struct client *c;
static char directory[] = "/tmp/vn-replay-XXXXXX";

/* A file in memory, in either byte order. */
static struct {
  uint8_t bytes[4 << 20];
  uint32_t length;
  bool big;
} file;

static void put(uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    file.bytes[file.length++] = (uint8_t)(value >> 8 * (file.big ? bytes - 1 - i : i));
}

static void put_bytes(const void *bytes, uint32_t length) {
  memcpy(file.bytes + file.length, bytes, length);
  file.length += length;
  while (file.length % 4) file.bytes[file.length++] = 0;
}

static uint32_t block_begin(uint32_t type) {
  uint32_t at = file.length;
  put(type, 4), put(0, 4);
  return at;
}

static void block_end(uint32_t at) {
  uint32_t total = file.length - at + 4, end = file.length;
  file.length = at + 4, put(total, 4);
  file.length = end, put(total, 4);
}

static void section(bool big) {
  file.big = big;
  uint32_t at = block_begin(0x0a0d0d0a);
  put(0x1a2b3c4d, 4), put(1, 2), put(0, 2), put(UINT64_MAX, 8);
  block_end(at);
}

/* resolution 6: without the option, as most files. */
static void interface(uint32_t link, uint32_t snap, uint8_t resolution) {
  uint32_t at = block_begin(1);
  put(link, 2), put(0, 2), put(snap, 4);
  if (resolution != 6) {
    put(1, 2), put(5, 2), put_bytes("hello", 5); /* a comment before it */
    put(9, 2), put(1, 2), put_bytes(&resolution, 1);
    put(14, 2), put(8, 2), put(3, 8);
    put(0, 4);
  }
  block_end(at);
}

static void packet(uint32_t interface, uint64_t time, const void *frame, uint32_t length, uint32_t whole) {
  uint32_t at = block_begin(6);
  put(interface, 4), put(time >> 32, 4), put(time & UINT32_MAX, 4), put(length, 4), put(whole, 4);
  put_bytes(frame, length);
  block_end(at);
}

static void old_packet(uint64_t time, const void *frame, uint32_t length) {
  uint32_t at = block_begin(2);
  put(0, 2), put(7, 2), put(time >> 32, 4), put(time & UINT32_MAX, 4), put(length, 4), put(length, 4);
  put_bytes(frame, length);
  block_end(at);
}

static void simple_packet(const void *frame, uint32_t length) {
  uint32_t at = block_begin(3);
  put(length, 4), put_bytes(frame, length);
  block_end(at);
}

static void other_block(uint32_t length) {
  static const uint8_t nothing[300000];
  uint32_t at = block_begin(0x0bad);
  put_bytes(nothing, length);
  block_end(at);
}

static void pcap(bool big, uint32_t magic, uint32_t link) {
  file.big = big;
  put(magic, 4), put(2, 2), put(4, 2), put(0, 8), put(65535, 4), put(link, 4);
}

static void record(uint32_t seconds, uint32_t part, const void *frame, uint32_t length) {
  put(seconds, 4), put(part, 4), put(length, 4), put(length, 4);
  memcpy(file.bytes + file.length, frame, length);
  file.length += length;
}

static const char *save(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *out = fopen(path, "w");
  if (out) fwrite(file.bytes, 1, file.length, out), fclose(out);
  file.length = 0;
  return path;
}

enum { FRAMES = 10, LENGTH = 77, MS = 20 }; /* of every small file: odd, so that padding counts; MS apart */

static const uint8_t *frame_number(uint32_t number) {
  static uint8_t frame[LENGTH];
  udp_frame(frame, LENGTH, 7, number);
  return frame;
}

static void write_small(int format) {
  file.length = 0;
  static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d};
  if (format < 4) pcap(format & 1, magics[format / 2], 1);
  else if (format / 2 == 3) section(format & 1), interface(1, 0, 9);
  else if (format / 2 == 4) section(format & 1), interface(1, 96, 0x80 | 20);
  else section(format & 1), interface(1, 0, 6);
  for (uint32_t i = 0; i < FRAMES; i++) {
    const uint8_t *frame = frame_number(i);
    uint64_t ms = 999000 + i * MS; /* over a full second, too */
    if (format < 4) record((uint32_t)(ms / 1000), (uint32_t)(ms % 1000) * (format / 2 ? 1000000 : 1000), frame, LENGTH);
    else if (format / 2 == 2) packet(0, ms * 1000, frame, LENGTH, LENGTH), other_block(i * 33);
    else if (format / 2 == 3) packet(0, ms * 1000000, frame, LENGTH, LENGTH);
    else if (format / 2 == 4) packet(0, (ms << 20) / 1000, frame, LENGTH, LENGTH);
    else if (format / 2 == 5) old_packet(ms * 1000, frame, LENGTH);
    else if (i % 2) simple_packet(frame, LENGTH); /* without a time: with the one before */
    else packet(0, ms * 1000, frame, LENGTH, LENGTH);
    if (format >= 14 && i == 4) section(!(format & 1)), interface(1, 0, 6); /* another one, in the other order */
  }
}
enum { FORMATS = 16 };

static int32_t replay(struct scene *s, const char *path, uint64_t speed, uint64_t repeat) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", "replay");
  vn_write_text(&options, "path", path);
  vn_write_number(&options, "speed", speed);
  vn_write_number(&options, "repeat", repeat);
  uint32_t status = client_call(s->c, s->board, VN_OP_ENDPOINT_OPEN, &options);
  if (status) return -(int32_t)status;
  return s->last[s->opened++ % 64] = client_handle(s->c);
}

/* Drains b until the endpoint has ended and all is there, or count came. The number; in their order. */
static uint32_t receive(struct scene *s, int32_t endpoint, uint32_t count, uint32_t modulo) {
  uint32_t got = 0;
  for (bool ended = false; got < count;) {
    int32_t n = client_drain(c, s->b, BATCH, 20);
    for (int32_t i = 0; i < n; i++, got++) CHECK(udp_number(client_frame(c, i)) == got % modulo);
    if (n < 0 || (n == 0 && ended)) break;
    if (n == 0) client_get(c, endpoint, VN_GET_STATE), ended = client_number(c, "status") != VN_OK;
  }
  return got;
}

/* Waits for that detail of an event "disconnected" of the board. */
static bool tells(struct scene *s, const char *detail) {
  for (int i = 0; i < 400; i++, usleep(5000)) {
    client_get(c, s->board, VN_GET_EVENTS);
    struct vn_reader reader;
    struct vn_entry entry;
    char type[32], text[64];
    vn_list_read(&reader, c->result, c->length);
    while (vn_list_next(&reader, &entry))
      if (vn_entry_is(&entry, VN_LIST, "event") && vn_list_text(entry.value, entry.length, "type", type, sizeof type) &&
          strcmp(type, "disconnected") == 0 &&
          vn_list_text(entry.value, entry.length, "detail", text, sizeof text) && strcmp(text, detail) == 0)
        return true;
  }
  return false;
}

static void test_every_format(void) {
  struct scene s = scene_open(c);
  for (int format = 0; format < FORMATS; format++) {
    write_small(format);
    uint64_t start = vn_monotonic_ns();
    int32_t endpoint = replay(&s, save("small"), 4000, 1);
    CHECK(endpoint > 0);
    uint32_t got = receive(&s, endpoint, FRAMES, FRAMES);
    uint64_t took = (vn_monotonic_ns() - start) / 1000000;
    CHECK(got == FRAMES && took >= (format >= 14 ? 0 : (FRAMES - 2) * MS / 4) && took < 2000);
    CHECK(state_becomes(&s, endpoint, VN_GONE) && tells(&s, "end of file"));
    CHECK(stat_of(&s, endpoint, "rounds") == 1 && stat_of(&s, endpoint, "skipped") == 0);
    client_stop(c, endpoint);
  }
  CHECK(stat_of(&s, s.board, "droppedBad") == 0);
  scene_close(&s);
}

static void test_speed_and_repeat(void) {
  struct scene s = scene_open(c);
  static const uint32_t speeds[] = {1000, 2000, 500, 0};
  for (int i = 0; i < 4; i++) {
    write_small(4);
    uint64_t start = vn_monotonic_ns(), expected = speeds[i] ? (FRAMES - 1) * MS * 1000 / speeds[i] : 0;
    int32_t endpoint = replay(&s, save("speed"), speeds[i], 1);
    CHECK(receive(&s, endpoint, FRAMES, FRAMES) == FRAMES);
    uint64_t took = (vn_monotonic_ns() - start) / 1000000;
    CHECK(took >= expected && took < expected + 1000);
    vn_close(endpoint);
  }
  write_small(4);
  int32_t endpoint = replay(&s, save("speed"), 0, 7);
  CHECK(receive(&s, endpoint, 1000, FRAMES) == 7 * FRAMES && stat_of(&s, endpoint, "rounds") == 7);
  vn_close(endpoint);
  write_small(4);
  endpoint = replay(&s, save("speed"), 0, 0);
  CHECK(receive(&s, endpoint, 1, FRAMES) > 0 && client_stop(c, endpoint) == VN_OK);
  scene_close(&s);
}

/* More than the reader's ring holds, with the longest frames of the network, and everything in between. */
static void test_a_long_file(void) {
  struct scene s = scene_open(c);
  static uint8_t frame[1514];
  uint32_t count = 2200;
  file.length = 0;
  section(false), interface(1, 0, 6);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t length = 60 + i * 7 % 1455;
    udp_frame(frame, length, 7, i);
    packet(0, i * 100, frame, length, length);
    if (i == 1000) other_block(300000);
  }
  const char *path = save("long");
  int32_t endpoint = replay(&s, path, 100, 1); /* 2.2 s, of which our own ring holds one, should this thread have to wait */
  CHECK(receive(&s, endpoint, count, count) == count && state_becomes(&s, endpoint, VN_GONE));
  vn_close(endpoint);
  for (int i = 0; i < 20; i++) { /* ended while its reader waits for room, or reads */
    endpoint = replay(&s, path, i % 2 ? 1 : 0, 0);
    CHECK(endpoint > 0);
    usleep((unsigned)i * 300);
    i % 3 ? (void)vn_close(endpoint) : (void)client_stop(c, endpoint);
  }
  endpoint = replay(&s, path, 1, 1);
  CHECK(client_stop(c, s.network) == VN_OK && state_becomes(&s, endpoint, VN_GONE));
  for (int i = 0; i < 64; i++) vn_close(s.last[i]);
  vn_close(s.board), vn_close(s.a), vn_close(s.b), vn_close(s.network);
}

static void test_bad_frames_are_counted_and_others_skipped(void) {
  struct scene s = scene_open(c);
  uint8_t frame[2000];
  file.length = 0;
  section(true), interface(1, 0, 6), interface(113, 0, 6);
  udp_frame(frame, sizeof frame, 7, 0);
  packet(0, 0, frame, 100, 100);
  packet(0, 0, frame, 13, 13);         /* no header */
  packet(5, 0, frame, 100, 100);       /* of no interface */
  packet(1, 0, frame, 100, 100);       /* cooked: not Ethernet */
  packet(0, 0, frame, 2000, 2000);     /* longer than the network's frames */
  uint32_t at = file.length;
  packet(0, 0, frame, 100, 100);       /* longer than its block */
  file.bytes[at + 22] = 0x10;
  udp_frame(frame, sizeof frame, 7, 1);
  packet(0, 0, frame, 64, 1514);       /* recorded in part: it is sent as it is */
  int32_t endpoint = replay(&s, save("bad"), 1000, 1);
  CHECK(receive(&s, endpoint, 2, 2) == 2 && state_becomes(&s, endpoint, VN_GONE));
  CHECK(stat_of(&s, endpoint, "skipped") == 1 && stat_of(&s, endpoint, "cut") == 1);
  CHECK(stat_of(&s, s.board, "droppedBad") == 3 && stat_of(&s, s.board, "droppedTooLong") == 1);
  scene_close(&s);
}

static void test_what_is_no_capture_is_refused(void) {
  struct scene s = scene_open(c);
  static const struct {
    const char *bytes, *message;
    uint32_t length;
  } wrong[] = {
      {"", "cut", 0},
      {"\n\r\r", "cut", 3},
      {"hello, this is a text and no capture file", "no capture file", 41},
      {"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\2\0\0\0", "no capture file", 16}, /* version 2 */
      {"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\0\0\0\0\0\0\0\0\x1c\0\0\0", "no interface", 28},
      {"\n\r\r\n\x1d\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\0\0\0\0\0\0\0\0\x1c\0\0\0", "no capture file", 28},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    file.length = 0;
    memcpy(file.bytes, wrong[i].bytes, file.length = wrong[i].length);
    CHECK(replay(&s, save("wrong"), 1000, 1) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "path") == 0);
    CHECK(strstr(client_text(c, "message"), wrong[i].message) != NULL);
  }
  file.length = 0;
  pcap(false, 0xa1b2c3d4, 101);
  CHECK(replay(&s, save("wrong"), 1000, 1) == -VN_BAD_OPTION && strstr(client_text(c, "message"), "not Ethernet"));
  CHECK(replay(&s, directory, 1000, 1) == -VN_BAD_OPTION);
  char path[128];
  snprintf(path, sizeof path, "%s/fifo", directory);
  CHECK(mkfifo(path, 0600) == 0 && replay(&s, path, 1000, 1) == -VN_BAD_OPTION);
  snprintf(path, sizeof path, "%s/none", directory);
  CHECK(replay(&s, path, 1000, 1) == -VN_SYSTEM && client_number(c, "errno") == 2);
  scene_close(&s);
}

/* Cut at any place: either refused, or what is whole comes and the end is told. */
static void test_a_cut_file(void) {
  struct scene s = scene_open(c);
  uint32_t step = getenv("VN_LONG") && *getenv("VN_LONG") ? 1 : 97;
  for (int format = 0; format <= 4; format += 4) {
    write_small(format);
    uint32_t whole = file.length;
    for (uint32_t length = whole - 1; length > 0; length -= length > step ? step : length) {
      write_small(format);
      file.length = length;
      int32_t endpoint = replay(&s, save("cut"), 0, 1);
      CHECK(endpoint > 0 || endpoint == -VN_BAD_OPTION);
      if (endpoint <= 0) continue;
      CHECK(receive(&s, endpoint, FRAMES + 1, FRAMES) <= FRAMES && state_becomes(&s, endpoint, VN_GONE));
      vn_close(endpoint);
    }
  }
  write_small(4);
  file.length -= 50;
  CHECK(replay(&s, save("cut"), 0, 1) > 0 && tells(&s, "the file is cut"));
  write_small(12);
  memset(file.bytes + file.length - 4 * LENGTH, 0xa5, 2 * LENGTH);
  CHECK(replay(&s, save("cut"), 0, 0) > 0 && tells(&s, "the file is damaged"));
  scene_close(&s);
}

static int run(const char *format, ...) {
  char command[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  return system(command);
}

/* What Wireshark's tools write of the same frames. */
static void test_files_of_other_tools(void) {
  static const char *const formats[] = {"pcapng", "pcap", "nsecpcap", "modpcap"};
  if (run("command -v editcap >/dev/null 2>&1")) {
    printf("  skipped: editcap is not installed\n");
    return;
  }
  struct scene s = scene_open(c);
  for (int i = 0; i < 3; i++) {
    write_small(6);
    save("small");
    if (run("editcap -F %s %s/small %s/converted 2>/dev/null", formats[i], directory, directory)) continue;
    char path[128];
    snprintf(path, sizeof path, "%s/converted", directory);
    uint64_t start = vn_monotonic_ns();
    int32_t endpoint = replay(&s, path, 1000, 1);
    CHECK(receive(&s, endpoint, FRAMES, FRAMES) == FRAMES);
    CHECK(vn_monotonic_ns() - start >= (FRAMES - 1) * MS * 1000000ull);
    CHECK(tells(&s, "end of file"));
    vn_close(endpoint);
  }
  scene_close(&s);
}

int main(void) {
  if (!mkdtemp(directory)) return 1;
  c = client_open();
  struct scene s = scene_open(c);
  scene_close(&s);
  int descriptors = count_entries("/proc/self/fd");
  uint64_t objects = stat_of(&s, c->context, "objects");
  RUN(test_every_format);
  RUN(test_speed_and_repeat);
  RUN(test_a_long_file);
  RUN(test_bad_frames_are_counted_and_others_skipped);
  RUN(test_what_is_no_capture_is_refused);
  RUN(test_a_cut_file);
  RUN(test_files_of_other_tools);
  bool clean = settles("/proc/self/fd", descriptors) && stat_falls(&s, c->context, "objects", objects);
  CHECK(clean);
  client_close(c);
  run("rm -rf %s", directory);
  return finish() || !clean;
}
