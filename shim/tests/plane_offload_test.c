// SPDX-License-Identifier: MIT
/*
 * Segmentation and checksums against a second implementation that knows no tricks, and against tshark, if it is there:
 * the
 * segments of a long frame go into a pcap file, and tshark says of each which checksum is wrong and whether the TCP
 * stream
 * has a hole.
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "core/os.h"
#include "offload_fixture.h"

/* What a right checksum makes of the whole: 0xffff. */
static uint32_t slow_transport(const uint8_t *ip, bool six, uint32_t header, uint32_t size, uint32_t protocol) {
  uint32_t total = slow_sum(ip + (six ? 8 : 12), six ? 32 : 8) + slow_sum(ip + header, size) + protocol + size;
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return total;
}

/* Every field of every segment. */
static void check_segments(struct shape shape, uint32_t size) {
  uint32_t network = shape.tag ? 18 : 14, at = 0, header = shape.udp ? 8 : 20 + shape.tcp_options, expected;
  expected = shape.payload ? (shape.payload + size - 1) / size : 1;
  CHECK(count == expected && !references);
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *segment = given + offsets[i], *ip = segment + network, *transport = segment + data - header;
    uint32_t part = shape.payload - at < size ? shape.payload - at : size;
    bool last = i + 1 == count;
    CHECK(lengths[i] == data + part);
    if (lengths[i] != data + part) return;
    CHECK(memcmp(segment + data, frame + data + at, part) == 0 && memcmp(segment, frame, network) == 0);
    if (shape.six) {
      CHECK(vn_get16(ip + 4) == lengths[i] - network - 40 && memcmp(ip + 6, frame + network + 6, 34) == 0);
    } else {
      uint32_t ip_header = 20 + shape.ip_options;
      CHECK(vn_get16(ip + 2) == lengths[i] - network && vn_get16(ip + 4) == ((0xfffe + i) & 0xffff));
      CHECK(slow_sum(ip, ip_header) == 0xffff && memcmp(ip + 12, frame + network + 12, ip_header - 12) == 0);
    }
    CHECK(slow_transport(ip, shape.six, (uint32_t)(transport - ip), header + part, shape.udp ? 17 : 6) == 0xffff);
    CHECK(memcmp(transport, frame + data - header, 4) == 0);
    if (shape.udp) {
      CHECK(vn_get16(transport + 4) == 8 + part && vn_get16(transport + 6) != 0);
    } else {
      CHECK(vn_get32(transport + 4) == 0xffffff00 + at);
      CHECK(transport[13] == (0x10 | (i == 0 ? 0x80 : 0) | (last ? 9 : 0)));
      CHECK(memcmp(transport + 18, frame + data - header + 18, header - 18) == 0);
    }
    at += part;
  }
  CHECK(at == shape.payload);
}

static void test_every_shape_is_cut_as_a_slow_program_would(void) {
  uint32_t payloads[] = {0, 1, 1447, 1448, 1449, 20001, 65000}, sizes[] = {536, 1448, 8948, 65535};
  for (uint32_t i = 0; i < 64; i++)
    for (uint32_t k = 0; k < 7; k++)
      for (uint32_t m = 0; m < 4; m++) {
        struct shape shape = {i & 1, i >> 1 & 1, i >> 2 & 1, i & 8 ? 40 : 0, i & 16 ? 12 : 0, i & 32 ? 2 : 0, payloads[k]};
        if (((i & 8) && shape.six) || ((i & 32) && !shape.six) || ((i & 16) && shape.udp)) continue;
        build(shape);
        uint8_t header[12];
        gso(header, shape.udp ? USO : shape.six ? TCP6 : TCP4, sizes[m]);
        if (i & 4) header[1] |= ECN;
        CHECK(finish_frame(header));
        check_segments(shape, sizes[m]);
      }
}

/* What an interface with enableTso writes, and another port cannot take. */
static void test_a_long_frame_is_cut_to_what_the_receiver_takes(void) {
  for (uint32_t i = 0; i < 16; i++) {
    struct shape shape = {.six = i & 1, .tag = i & 2, .tcp_options = i & 8 ? 12 : 0, .payload = 20001};
    if (i == 4) shape.ip_options = 40;
    build(shape);
    struct vn_packet packet = {.frame = frame, .length = length};
    count = 0, used = 0, references = 0;
    CHECK(vn_offload_cut(&packet, 1514, give, NULL));
    check_segments(shape, 1514 - data);
    for (uint32_t k = 0; k < count; k++) CHECK(lengths[k] <= 1514);
  }
  uint8_t header[12] = {0};
  struct vn_packet packet = {.frame = frame, .length = length, .header = header};
  CHECK(!vn_offload_cut(&packet, 1514, give, NULL)); /* a header says what is wanted */
  packet.header = NULL;
  CHECK(!vn_offload_cut(&packet, data + 31, give, NULL)); /* no room for anything */
  build((struct shape){.udp = true, .payload = 20001});
  packet.length = length;
  CHECK(!vn_offload_cut(&packet, 1514, give, NULL));
}

static void test_lengths_of_zero_and_padding_are_understood(void) {
  uint8_t header[12];
  struct shape shape = {.payload = 5000};
  build(shape);
  vn_put16(frame + 16, 0); /* to the end of the frame */
  gso(header, TCP4, 1000);
  CHECK(finish_frame(header));
  check_segments(shape, 1000);
  build(shape);
  memset(frame + length, 0xee, 30), length += 30; /* what is behind the packet is not data */
  CHECK(finish_frame(header));
  check_segments(shape, 1000);
}

static void test_a_checksum_of_zero_is_written_as_ones(void) {
  uint8_t header[12];
  build((struct shape){.udp = true, .payload = 100});
  gso(header, USO, 1000);
  CHECK(finish_frame(header));
  uint32_t word = vn_get16(frame + data) + vn_get16(given + data - 2);
  vn_put16(frame + data, (word & 0xffff) + (word >> 16));
  CHECK(finish_frame(header) && vn_get16(given + data - 2) == 0xffff);
}

static void test_headers_that_cannot_be_obeyed_give_nothing(void) {
  uint8_t header[12];
  struct shape tcp = {.payload = 20000}, udp = {.udp = true, .payload = 20000}, six = {.six = true, .payload = 20000};
  build(tcp);
  for (uint32_t type = 1; type < 256; type++) {
    gso(header, (uint8_t)type, 1448);
    CHECK(finish_frame(header) == ((type & 0x7f) == TCP4));
  }
  gso(header, TCP4, 0);
  CHECK(!finish_frame(header));
  for (uint32_t size = 1; size < 32; size++) {
    gso(header, TCP4, size);
    CHECK(!finish_frame(header));
  }
  gso(header, TCP4, 32);
  CHECK(finish_frame(header) && count == 625);
  build((struct shape){.payload = 640});
  gso(header, TCP4, 5);
  CHECK(finish_frame(header) && count == 128); /* a few small ones are somebody's right */
  build(udp), gso(header, TCP4, 1448);
  CHECK(!finish_frame(header));
  gso(header, UFO, 1448);
  CHECK(!finish_frame(header));
  build(six), gso(header, TCP4, 1448);
  CHECK(!finish_frame(header));
  gso(header, TCP6, 1448);
  for (length = 0; length < 74; length++) CHECK(!finish_frame(header));
  build(tcp), gso(header, TCP4, 1448);
  for (length = 0; length < 54; length++) CHECK(!finish_frame(header));
  build(tcp), frame[14 + 20 + 12] = 0x40; /* a TCP header of 16 bytes, and one beyond the end */
  CHECK(!finish_frame(header));
  build((struct shape){.payload = 10}), frame[14 + 20 + 12] = 0xf0;
  CHECK(!finish_frame(header));
  build(tcp), frame[14] = 0x44;
  CHECK(!finish_frame(header));
  build(tcp), frame[14 + 6] = 0x20; /* a fragment */
  CHECK(!finish_frame(header));
  build(tcp), frame[12] = 0x88, frame[13] = 0xb5;
  CHECK(!finish_frame(header));
  build(tcp), vn_put16(frame + 16, 20021 + 20);
  CHECK(!finish_frame(header)); /* longer than it is */
  build((struct shape){.six = true, .extensions = 9, .payload = 2000}), gso(header, TCP6, 1000);
  CHECK(!finish_frame(header));
  build((struct shape){.six = true, .extensions = 8, .payload = 2000});
  CHECK(finish_frame(header) && count == 2);
  build((struct shape){.payload = 65000}), length = sizeof frame, vn_put16(frame + 16, 0);
  gso(header, TCP4, 1448);
  CHECK(!finish_frame(header)); /* longer than any frame */
  build((struct shape){.payload = 65508}), vn_put16(frame + 16, 0);
  gso(header, TCP4, 65535);
  CHECK(length == 65562 && !finish_frame(header)); /* one segment, longer than any IP packet */
  gso(header, TCP4, 60000);
  CHECK(finish_frame(header) && count == 2);
  build((struct shape){.six = true, .extensions = 1, .payload = 2000}), gso(header, TCP6, 1000);
  frame[14 + 6] = 43, frame[14 + 40 + 3] = 1; /* by another router: the address that counts is elsewhere */
  CHECK(!finish_frame(header));
  frame[14 + 40 + 3] = 0;
  CHECK(finish_frame(header));
}

static void test_one_checksum_is_completed_in_a_copy(void) {
  struct shape shapes[] = {{.payload = 1460}, {.six = true, .payload = 1441}, {.udp = true, .payload = 0},
                           {.six = true, .udp = true, .tag = true, .extensions = 1, .payload = 9}};
  for (uint32_t i = 0; i < 4; i++) {
    struct shape shape = shapes[i];
    build(shape);
    uint32_t network = shape.tag ? 18 : 14, start = data - (shape.udp ? 8 : 20), offset = shape.udp ? 6 : 16;
    uint32_t pseudo = slow_sum(frame + network + (shape.six ? 8 : 12), shape.six ? 32 : 8) + length - start +
                      (shape.udp ? 17 : 6);
    while (pseudo > 0xffff) pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    vn_put16(frame + start + offset, pseudo);
    uint8_t header[12] = {1, [6] = (uint8_t)start, [8] = (uint8_t)offset, [10] = 1};
    CHECK(finish_frame(header) && count == 1 && lengths[0] == length);
    CHECK(slow_transport(given + network, shape.six, start - network, length - start, shape.udp ? 17 : 6) == 0xffff);
    for (uint32_t at = 0; at < length + 3; at++) { /* only where a checksum belongs */
      header[6] = (uint8_t)at, header[7] = (uint8_t)(at >> 8);
      bool behind = at > start && (!shape.udp || at >= start + 8) && at + offset + 2 <= length;
      CHECK(finish_frame(header) == (at == start || behind));
    }
    header[6] = (uint8_t)start, header[7] = 0;
    for (uint32_t other = 0; other < 70000; other += 7) {
      header[8] = (uint8_t)other, header[9] = (uint8_t)(other >> 8);
      CHECK(finish_frame(header) == ((other & 0xffff) == offset));
    }
  }
}

static struct vn_packet kept;
static void keep_packet(void *to, const struct vn_packet *packet) { (void)to, kept = *packet; }

static void test_a_complete_frame_is_given_as_it_lies_there(void) {
  struct vn_packet packet = {.frame = frame, .length = 60, .header = vn_offload_none, .lasting = true, .framed = true};
  CHECK(vn_offload_finish(&packet, keep_packet, NULL));
  CHECK(kept.frame == frame && kept.length == 60 && kept.header == NULL && kept.lasting && !kept.framed);
  packet.header = NULL;
  CHECK(vn_offload_finish(&packet, keep_packet, NULL) && kept.framed);
}

static void test_sums_agree_at_every_length_and_place(void) {
  for (uint32_t i = 0; i < sizeof frame; i++) frame[i] = (uint8_t)(i * 2654435761u >> 11);
  for (uint32_t size = 0; size < 300; size++)
    for (uint32_t at = 0; at < 9; at++) CHECK(vn_sum(frame + at, size) == slow_sum(frame + at, size));
  CHECK(vn_sum(frame, 65535) == slow_sum(frame, 65535));
  memset(frame, 255, sizeof frame);
  for (uint32_t size = 0; size < sizeof frame; size += 113) CHECK(vn_sum(frame, size) == slow_sum(frame, size));
  memset(frame, 0, 100);
  CHECK(vn_sum(frame, 99) == 0 && vn_checksum(0) == 0xffff && vn_checksum(0xffff) == 0);
  CHECK(vn_checksum(0xffffffffffffffff) == 0);
}

/* tshark. */

static void write_pcap(FILE *file) {
  uint32_t head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 262144, 1};
  fwrite(head, 24, 1, file);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t record[4] = {1, i, lengths[i], lengths[i]};
    fwrite(record, 16, 1, file);
    fwrite(given + offsets[i], lengths[i], 1, file);
  }
}

/* What tshark prints of the file's frames, one line each; -1: it is not installed. */
static int ask_tshark(const char *path, char *out, size_t capacity) {
  char *arguments[] = {"tshark", "-n", "-r", (char *)(uintptr_t)path, "-o", "ip.check_checksum:TRUE", "-o",
                       "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields", "-e",
                       "ip.checksum.status", "-e", "tcp.checksum.status", "-e", "udp.checksum.status", "-e",
                       "tcp.analysis.lost_segment", "-e", "tcp.analysis.flags", "-e", "_ws.malformed", NULL};
  int ends[2];
  if (pipe(ends) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    dup2(open("/dev/null", O_WRONLY), 2);
    close(ends[0]), close(ends[1]);
    execvp(arguments[0], arguments);
    _exit(127);
  }
  close(ends[1]);
  size_t got = 0;
  for (ssize_t more; (more = read(ends[0], out + got, capacity - 1 - got)) > 0;) got += (size_t)more;
  out[got] = 0;
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

static void test_tshark_finds_nothing_wrong(void) {
  static char said[1 << 16];
  struct shape shapes[] = {{.payload = 30000, .tcp_options = 12, .ip_options = 8}, {.six = true, .payload = 30000},
                           {.udp = true, .payload = 30000}, {.six = true, .udp = true, .extensions = 2, .payload = 30000}};
  const char *expected[] = {"1\t1\t\t\t\t\n", "\t1\t\t\t\t\n", "1\t\t1\t\t\t\n", "\t\t1\t\t\t\n"};
  for (int i = 0; i < 4; i++) {
    char path[] = "/tmp/vn-offload-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    build(shapes[i]);
    if (!shapes[i].udp) frame[data - 20 - shapes[i].tcp_options + 13] = 0x10; /* a stream that goes on */
    uint8_t header[12];
    gso(header, shapes[i].udp ? USO : shapes[i].six ? TCP6 : TCP4, 1400);
    CHECK(finish_frame(header) && count == 22);
    write_pcap(file);
    fclose(file);
    int status = ask_tshark(path, said, sizeof said);
    unlink(path);
    if (status < 0) {
      printf("  tshark is not installed\n");
      return;
    }
    CHECK(status == 0);
    const char *line = said;
    size_t size = strlen(expected[i]);
    uint32_t lines = 0;
    for (; strncmp(line, expected[i], size) == 0; line += size) lines++;
    CHECK(lines == 22 && *line == 0);
    if (lines != 22) fprintf(stderr, "%.300s\n", said);
  }
}

/* Printed, not judged: the machine may be busy. */
static void test_what_it_costs(void) {
  uint8_t header[12];
  uint64_t best[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX}, sink = 0;
  for (int round = 0; round < 20; round++) {
    uint64_t begun = vn_monotonic_ns();
    for (int i = 0; i < 5000; i++) sink += vn_sum(frame + (i & 7) * 2, 1514);
    uint64_t taken = (vn_monotonic_ns() - begun) / 5;
    if (taken < best[0]) best[0] = taken;
    build((struct shape){.payload = 1460});
    struct vn_packet packet = {.frame = frame, .length = length, .header = header};
    memcpy(header, (uint8_t[]){1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 1, 0}, 12);
    begun = vn_monotonic_ns();
    for (int i = 0; i < 5000; i++) vn_offload_finish(&packet, keep_packet, NULL);
    taken = (vn_monotonic_ns() - begun) / 5;
    if (taken < best[1]) best[1] = taken;
    build((struct shape){.payload = 64240});
    packet.length = length;
    gso(header, TCP4, 1460);
    begun = vn_monotonic_ns();
    for (int i = 0; i < 100; i++) vn_offload_finish(&packet, keep_packet, NULL);
    taken = (vn_monotonic_ns() - begun) * 10;
    if (taken < best[2]) best[2] = taken;
  }
  CHECK(sink != 0);
  printf("  a sum of 1514 bytes %.1f ns, a checksum of a frame of 1514 %.1f ns, 44 segments of 64 KiB %.1f us\n",
         (double)best[0] / 1000, (double)best[1] / 1000, (double)best[2] / 1e6);
}

int main(void) {
  RUN(test_sums_agree_at_every_length_and_place);
  RUN(test_every_shape_is_cut_as_a_slow_program_would);
  RUN(test_a_long_frame_is_cut_to_what_the_receiver_takes);
  RUN(test_lengths_of_zero_and_padding_are_understood);
  RUN(test_a_checksum_of_zero_is_written_as_ones);
  RUN(test_headers_that_cannot_be_obeyed_give_nothing);
  RUN(test_one_checksum_is_completed_in_a_copy);
  RUN(test_a_complete_frame_is_given_as_it_lies_there);
  RUN(test_tshark_finds_nothing_wrong);
  RUN(test_what_it_costs);
  return finish();
}
