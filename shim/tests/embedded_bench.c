// SPDX-License-Identifier: MIT
/*
 * embedded_bench.c - frames per second from one interface through the switch to another, in C.
 *
 *   oneway   one thread sends on A, another drains B
 *   echo     one thread sends on A and drains A, another drains B and sends it all back; both directions counted
 *   ping     the same with one frame under way: every frame costs two wakes of the switch and two of the script
 */
#include "client.h"

#include <stdio.h>
#include <sys/resource.h>

enum { LENGTH = 1514, SECONDS = 1 };

static struct bench {
  struct client *client;
  int32_t network;
  vn_atomic_u32 stop, ready;
  uint8_t token[256];
  uint64_t drained;
} bench;

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Handles belong to threads: each thread has a context of its own and starts on the same identified network. */
static int32_t start(struct client *client) {
  uint8_t identifier[16] = {42};
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_operation_mode", 1000);
  vn_write_bytes(&options, "vmnet_network_identifier", identifier, 16);
  int32_t port = client_start(client, client->context, &options);
  vn_interest(port, VN_READY_PACKETS);
  return port;
}

static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2};

static void *drain_body(void *echo) {
  struct client *client = client_open();
  int32_t port = start(client);
  uint8_t hello[60];
  make_frame(hello, 60, everybody, b_mac, 0);
  client_push(client, port, hello, 60);
  vn_atomic_store(&bench.ready, 1);
  while (!vn_atomic_load(&bench.stop)) {
    int32_t count = vn_drain(port, client->arena, ARENA, client->descriptors, 64);
    uint32_t n = (uint32_t)count & 0xffff;
    bench.drained += n;
    if (echo) {
      for (uint32_t i = 0; i < n; i++) {
        memcpy(client->arena + client->descriptors[i * 6], a_mac, 6);
        memcpy(client->arena + client->descriptors[i * 6] + 6, b_mac, 6);
      }
      for (uint32_t done = 0; done < n && !vn_atomic_load(&bench.stop);) {
        int32_t sent = vn_send(port, client->arena, ARENA, client->descriptors, done, n - done);
        if (sent > 0) done += (uint32_t)sent;
        else client_ready(client, port, 10);
      }
    }
    if (!(count & VN_MORE)) client_ready(client, port, 10);
  }
  client_close(client);
  return NULL;
}

static double run(const char *name, int64_t window, uint32_t length) {
  bool echo = window > 0;
  uint32_t batch = window == 1 ? 1 : 64;
  struct client *client = bench.client;
  pthread_t thread;
  bench.stop = 0, bench.ready = 0, bench.drained = 0;
  int32_t port = start(client);
  pthread_create(&thread, NULL, drain_body, echo ? (void *)&bench : NULL);
  while (!vn_atomic_load(&bench.ready)) usleep(1000);
  uint32_t descriptors[64 * VN_DESCRIPTOR_WORDS];
  uint64_t drained = 0;
  int64_t inflight = 0; /* the hello makes it negative for a moment */
  static uint8_t frames[64 * 1520];
  for (uint32_t i = 0; i < 64; i++) {
    make_frame(frames + i * 1520, length, b_mac, a_mac, i);
    descriptors[i * 6] = i * 1520;
    descriptors[i * 6 + 1] = length;
  }
  double begun = cpu();
  uint64_t from = vn_monotonic_ns(), end = from + SECONDS * 1000000000ull;
  while (vn_monotonic_ns() < end) {
    int32_t sent = !echo || inflight < window ? vn_send(port, frames, sizeof frames, descriptors, 0, batch) : 0;
    if (echo && sent > 0) inflight += sent;
    if (echo) {
      int32_t count = vn_drain(port, client->arena, ARENA, client->descriptors, 64);
      drained += (uint32_t)count & 0xffff;
      inflight -= count & 0xffff;
      if (inflight >= window && !(count & VN_MORE)) client_ready(client, port, 10);
    } else if (sent < 64) {
      client_ready(client, port, 10);
    }
  }
  double seconds = (double)(vn_monotonic_ns() - from) / 1e9, used = cpu() - begun;
  vn_get(port, VN_GET_STATS, client->result, sizeof client->result);
  client_get(client, port, VN_GET_STATS);
  double out = (double)client_number(client, "framesOut"), wakes = (double)client_number(client, "wakes");
  vn_atomic_store(&bench.stop, 1);
  pthread_join(thread, NULL);
  drained += bench.drained;
  printf("%s %4u bytes: %.3f M frames/s drained, %.3f M sent, %.0f ns CPU per frame, %.0f wakes\n", name, length,
         (double)drained / seconds / 1e6, out / seconds / 1e6, used * 1e9 / (double)drained, wakes);
  client_stop(client, port);
  return (double)drained / seconds;
}

int main(void) {
  bench.client = client_open();
  for (int i = 0; i < 3; i++) {
    run("oneway", 0, 1514);
    run("echo  ", 512, 1514);
    run("ping  ", 1, 1514);
    run("oneway", 0, 64);
    run("echo  ", 512, 64);
  }
  client_close(bench.client);
  return 0;
}
