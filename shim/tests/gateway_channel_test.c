// SPDX-License-Identifier: MIT
/* gateway_channel_test.c - messages in pieces, in heaps, too long, and to a peer that does not read. */
#include "gateway/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/frame.h"
#include "test.h"

#define LIMIT 2000

static struct channel channel;
static int peer;

static void begin(bool bounded, uint32_t in, uint32_t out) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  fcntl(pair[1], F_SETFL, O_NONBLOCK);
  CHECK(channel_open(&channel, pair[0], LIMIT, in, out, bounded));
  peer = pair[1];
}

static void end(void) {
  channel_close(&channel);
  close(channel.fd);
  close(peer);
}

static uint32_t message(uint8_t *out, uint32_t length, uint8_t content) {
  put32(out, length);
  memset(out + 4, content, length);
  return 4 + length;
}

static void bytes_one_by_one_make_a_message(void) {
  uint8_t bytes[64], *got = NULL;
  uint32_t length, size = message(bytes, 20, 7);
  begin(true, 4096, 4096);
  size += message(bytes + size, 3, 9);
  for (uint32_t i = 0; i < size; i++) {
    CHECK(write(peer, bytes + i, 1) == 1);
    channel_fill(&channel);
    got = channel_next(&channel, &length);
    CHECK((got != NULL) == (i == 23 || i == 30));
    if (i == 23) CHECK(length == 20 && got[0] == 7 && got[19] == 7);
  }
  CHECK(got && length == 3 && got[2] == 9 && !channel.broken);
  end();
}

static void one_read_takes_many_messages(void) {
  static uint8_t bytes[40000];
  uint32_t size = 0, length, count = 0;
  uint8_t *got;
  begin(true, 4096, 4096);
  for (int i = 0; i < 100; i++) size += message(bytes + size, (uint32_t)(i * 3), (uint8_t)i);
  CHECK(write(peer, bytes, size) == (ssize_t)size);
  for (int turn = 0; turn < 20; turn++) {
    channel_fill(&channel);
    while ((got = channel_next(&channel, &length))) {
      CHECK(length == count * 3 && (length == 0 || (got[0] == count && got[length - 1] == count)));
      count++;
    }
  }
  CHECK(count == 100 && !channel.broken);
  end();
}

static void a_long_message_grows_the_buffer(void) {
  uint8_t bytes[LIMIT + 4], *got = NULL;
  uint32_t length;
  begin(false, 64, 64);
  CHECK(write(peer, bytes, message(bytes, LIMIT, 3)) == LIMIT + 4);
  for (int i = 0; i < 3 && !got; i++) {
    channel_fill(&channel);
    got = channel_next(&channel, &length);
  }
  CHECK(got && length == LIMIT && got[LIMIT - 1] == 3);
  end();
}

static void a_length_above_the_limit_is_a_violation(void) {
  static const uint32_t lengths[] = {LIMIT + 1, 0x7fffffff, 0xffffffff};
  for (size_t i = 0; i < 3; i++) {
    uint8_t bytes[8] = {0};
    uint32_t length;
    begin(true, 4096, 4096);
    put32(bytes, lengths[i]);
    CHECK(write(peer, bytes, 8) == 8);
    channel_fill(&channel);
    CHECK(!channel_next(&channel, &length) && channel.broken && channel.violated);
    channel_fill(&channel); /* does nothing any more */
    end();
  }
}

static void the_end_breaks_after_the_last_message(void) {
  uint8_t bytes[16];
  uint32_t length;
  begin(true, 4096, 4096);
  CHECK(write(peer, bytes, message(bytes, 5, 1)) == 9);
  shutdown(peer, SHUT_WR);
  channel_fill(&channel);
  CHECK(channel_next(&channel, &length) && !channel.broken);
  channel_fill(&channel);
  CHECK(channel.broken && !channel.violated);
  end();
}

static void a_turn_is_one_write(void) {
  uint8_t bytes[200];
  begin(true, 4096, 4096);
  for (int i = 0; i < 5; i++) memset(channel_reserve(&channel, 10), i, 10);
  CHECK(read(peer, bytes, sizeof bytes) < 0);
  channel_flush(&channel);
  CHECK(read(peer, bytes, sizeof bytes) == 70 && get32(bytes + 14) == 10 && bytes[18] == 1);
  CHECK(channel_pending(&channel) == 0);
  end();
}

static void a_full_bounded_queue_drops_whole_messages(void) {
  static uint8_t bytes[1 << 20];
  uint32_t sent = 0, got = 0, at = 0, before = UINT32_MAX;
  begin(true, 4096, 8192);
  int small = 4096;
  setsockopt(channel.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  for (uint32_t i = 0; i < 500; i++) {
    uint8_t *room = channel_reserve(&channel, 100 + i % 900);
    if (room) memset(room, 0, 100 + i % 900), put32(room, i), sent++;
    if (i % 7 == 0) channel_flush(&channel);
  }
  CHECK(channel.dropped > 0 && channel.dropped + sent == 500 && !channel.broken);
  for (ssize_t n = 1; n > 0 || channel_pending(&channel) > 0;) {
    n = read(peer, bytes + got, 3000);
    got += n > 0 ? (uint32_t)n : 0;
    channel_flush(&channel);
  }
  for (; at < got; at += 4 + get32(bytes + at), sent--) {
    uint32_t i = get32(bytes + at + 4);
    CHECK(get32(bytes + at) == 100 + i % 900 && (before == UINT32_MAX || i > before)); /* in order, in one piece */
    before = i;
  }
  CHECK(at == got && sent == 0);
  CHECK(!channel_reserve(&channel, LIMIT + 1));
  end();
}

static void control_messages_are_never_dropped(void) {
  begin(false, 64, 64);
  for (int i = 0; i < 3000; i++) CHECK(channel_reserve(&channel, 1000) != NULL);
  CHECK(channel.dropped == 0 && !channel.broken && channel_pending(&channel) == 3000 * 1004u);
  while (channel_reserve(&channel, LIMIT)) continue;
  CHECK(channel.broken); /* an owner that never reads */
  end();
}

static void a_peer_that_is_gone_breaks_the_channel(void) {
  begin(true, 64, 4096);
  close(peer);
  channel_reserve(&channel, 10);
  channel_flush(&channel);
  CHECK(channel.broken);
  end();
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  RUN(bytes_one_by_one_make_a_message);
  RUN(one_read_takes_many_messages);
  RUN(a_long_message_grows_the_buffer);
  RUN(a_length_above_the_limit_is_a_violation);
  RUN(the_end_breaks_after_the_last_message);
  RUN(a_turn_is_one_write);
  RUN(a_full_bounded_queue_drops_whole_messages);
  RUN(control_messages_are_never_dropped);
  RUN(a_peer_that_is_gone_breaks_the_channel);
  return finish();
}
