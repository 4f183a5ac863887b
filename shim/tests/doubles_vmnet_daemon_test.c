// SPDX-License-Identifier: MIT
/* The double of vmnet over its daemon: frames through the embedded network, DHCP leases in the file, the daemon's end.
 * */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "doubles_vmnet.h"

/* The daemon of a process; 0: it has none. */
static pid_t daemon_of(pid_t parent) {
  pid_t found = 0;
  DIR *directory = opendir("/proc");
  for (struct dirent *entry; (entry = readdir(directory));) {
    char path[300], text[512] = "", name[64] = "";
    int pid = 0, of = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d (%63[^)]) %*c %d", &pid, name, &of) == 3 && of == parent &&
        !strcmp(name, "vmnet-double-da"))
      found = pid;
    close(fd);
  }
  closedir(directory);
  return found;
}

/* Writes with patience. */
static void push(struct nic *nic, int count, uint32_t length, uint32_t number) {
  for (int i = 0; i < 5000 && count > 0; i++) {
    int taken = 0;
    uint32_t status = nic_write(nic, count, length, number, &taken);
    if (status != VMNET_SUCCESS && status != VMNET_BUFFER_EXHAUSTED) return;
    number += (uint32_t)taken, count -= taken;
    if (count > 0) nap(1);
  }
}

/* Waits for one frame with that number; false after two seconds. */
static bool comes(struct nic *nic, uint32_t number) {
  for (int i = 0; i < 2000; i++) {
    int n = nic_read(nic, SLOTS);
    for (int k = 0; k < n; k++)
      if (nic->bytes[k][12] == 0x88 && nic_frame(nic, k) == number) return true;
    if (n <= 0) nap(1);
  }
  return false;
}

static vmnet_network_ref network(uint32_t mode, const char *gateway, bool dhcp, vmnet_return_t *status) {
  vmnet_network_configuration_ref made = vmnet_network_configuration_create(mode, NULL);
  struct in_addr address = {0}, mask = {0}, client = {0};
  struct ether_addr mac = {{2, 0, 0, 0, 0, 7}};
  inet_pton(AF_INET, gateway, &address), inet_pton(AF_INET, "255.255.255.0", &mask);
  CHECK(vmnet_network_configuration_set_ipv4_subnet(made, &address, &mask) == VMNET_SUCCESS);
  client.s_addr = (address.s_addr & mask.s_addr) | htonl(77);
  if (dhcp) CHECK(vmnet_network_configuration_add_dhcp_reservation(made, &mac, &client) == VMNET_SUCCESS);
  if (!dhcp) vmnet_network_configuration_disable_dhcp(made);
  vmnet_network_ref out = vmnet_network_create(made, status);
  CFRelease(made);
  return out;
}

static void two_interfaces_meet(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  CHECK(atomic_load(&a->status) == VMNET_SUCCESS && atomic_load(&b->status) == VMNET_SUCCESS);
  CHECK(!strcmp(nic_text(a, vmnet_start_address_key), "192.168.128.1") && strlen(a->mac) == 17 && strcmp(a->mac, b->mac));
  nic_listen(b);
  push(a, 3, 60, 100);
  CHECK(comes(b, 102) && atomic_load(&b->event_count) > 0);
  nic_stop(a), nic_stop(b);
  CHECK(nothing_lives());
}

static void without_dhcp_too(void) {
  vmnet_return_t status = 0;
  vmnet_network_ref it = network(VMNET_HOST_MODE, "192.168.70.1", false, &status);
  CHECK(it != NULL);
  struct in_addr subnet, mask;
  vmnet_network_get_ipv4_subnet(it, &subnet, &mask);
  CHECK(ntohl(subnet.s_addr) == 0xc0a84601 && ntohl(mask.s_addr) == 0xffffff00);
  CHECK(network(VMNET_HOST_MODE, "192.168.70.1", false, &status) == NULL && status == VMNET_FAILURE);
  struct nic *a = nic_start_on(description(0), it), *b = nic_start_on(description(0), it), *c = nic_start(VMNET_HOST_MODE);
  CFRelease(it);
  push(a, 1, 60, 7);
  CHECK(comes(b, 7) && nic_read(c, 8) == 0);
  nic_stop(a), nic_stop(b), nic_stop(c);
  it = network(VMNET_HOST_MODE, "192.168.70.1", false, &status);
  CHECK(it != NULL && status == VMNET_SUCCESS);
  if (it) CFRelease(it);
  CHECK(nothing_lives());
}

static void *push_all(void *argument) {
  for (uint32_t i = 0; i < 100; i++) push(argument, 50, 600, i * 50);
  return NULL;
}

static void order_survives(void) {
  double_set("queue", "20000");
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  pthread_t thread;
  pthread_create(&thread, NULL, push_all, a);
  uint32_t last = 0, count = 0;
  for (int idle = 0; idle < 300 && count < 5000;) {
    int n = nic_read(b, SLOTS);
    idle = n > 0 ? 0 : idle + 1;
    if (n <= 0) nap(1);
    for (int i = 0; i < n; i++) {
      if (b->bytes[i][12] != 0x88) continue;
      CHECK(count == 0 || nic_frame(b, i) > last);
      last = nic_frame(b, i), count++;
    }
  }
  pthread_join(thread, NULL);
  CHECK(count > 2000); /* the embedded network may drop, but does not reorder or repeat */
  double_set("queue", "1024");
  nic_stop(a), nic_stop(b);
}

static void long_frames(void) {
  struct nic *nics[2];
  for (int i = 0; i < 2; i++) {
    xpc_object_t what = description(VMNET_HOST_MODE);
    xpc_dictionary_set_bool(what, vmnet_enable_tso_key, true);
    nics[i] = nic_start_on(what, NULL);
    CHECK(nic_number(nics[i], vmnet_max_packet_size_key) == 65550);
  }
  push(nics[0], 4, 65550, 9);
  uint8_t *bytes = malloc(65550);
  int got = 0;
  for (int i = 0; i < 2000 && got < 4; i++) {
    struct iovec iovec = {bytes, 65550};
    struct vmpktdesc packet = {.vm_pkt_size = 65550, .vm_pkt_iov = &iovec, .vm_pkt_iovcnt = 1};
    int n = 1;
    CHECK(vmnet_read(nics[1]->ref, &packet, &n) == VMNET_SUCCESS);
    got += n == 1 && packet.vm_pkt_size == 65550 && bytes[65549] == 9 + got;
    if (n == 0) nap(1);
  }
  CHECK(got == 4);
  free(bytes);
  nic_stop(nics[0]), nic_stop(nics[1]);
}

static void bridged_ones_meet_by_name(void) {
  struct nic *nics[3];
  for (int i = 0; i < 3; i++) {
    xpc_object_t what = description(VMNET_BRIDGED_MODE);
    xpc_dictionary_set_string(what, vmnet_shared_interface_name_key, i < 2 ? "en0" : "en1");
    nics[i] = nic_start_on(what, NULL);
    CHECK(atomic_load(&nics[i]->status) == VMNET_SUCCESS);
  }
  push(nics[0], 1, 60, 4);
  CHECK(comes(nics[1], 4) && nic_read(nics[2], 8) == 0);
  for (int i = 0; i < 3; i++) nic_stop(nics[i]);
}

/* DHCP by hand. */

static void put32(uint8_t *at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, 4);
}

static void send_dhcp(struct nic *nic, uint8_t type, uint32_t address, uint32_t server) {
  uint8_t frame[400] = {0}, *ip = frame + 14, *bootp = frame + 42, *options = bootp + 240;
  static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
  memset(frame, 255, 6), memcpy(frame + 6, mac, 6);
  frame[12] = 8;
  ip[0] = 0x45, ip[2] = 386 >> 8, ip[3] = 386 & 255, ip[8] = 64, ip[9] = 17;
  put32(ip + 16, UINT32_MAX);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (uint32_t)ip[i] << 8 | ip[i + 1];
  sum = ~((sum & 0xffff) + (sum >> 16));
  ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
  frame[35] = 68, frame[37] = 67, frame[38] = 366 >> 8, frame[39] = 366 & 255;
  bootp[0] = bootp[1] = 1, bootp[2] = 6;
  put32(bootp + 4, 0x1234), memcpy(bootp + 28, mac, 6);
  put32(bootp + 236, 0x63825363);
  memcpy(options, (uint8_t[]){53, 1, type}, 3), options += 3;
  if (address != 0) memcpy(options, (uint8_t[]){50, 4}, 2), put32(options + 2, address), options += 6;
  if (server != 0) memcpy(options, (uint8_t[]){54, 4}, 2), put32(options + 2, server), options += 6;
  memcpy(options, "\x0c\x05guest", 7), options += 7;
  *options = 255;
  struct iovec iovec = {frame, sizeof frame};
  struct vmpktdesc packet = {.vm_pkt_size = sizeof frame, .vm_pkt_iov = &iovec, .vm_pkt_iovcnt = 1};
  CHECK(vmnet_write(nic->ref, &packet, &(int){1}) == VMNET_SUCCESS);
}

/* The address in the next answer of the server. */
static uint32_t hear_dhcp(struct nic *nic) {
  for (int i = 0; i < 3000; i++) {
    int n = nic_read(nic, SLOTS);
    for (int k = 0; k < n; k++) {
      uint8_t *frame = nic->bytes[k];
      uint32_t address;
      if (frame[12] != 8 || frame[23] != 17 || frame[37] != 68) continue;
      memcpy(&address, frame + 42 + 16, 4);
      return ntohl(address);
    }
    if (n <= 0) nap(1);
  }
  return 0;
}

static uint32_t lease(struct nic *nic, uint32_t server) {
  send_dhcp(nic, 1, 0, 0);
  uint32_t offered = hear_dhcp(nic);
  send_dhcp(nic, 3, offered, server);
  return hear_dhcp(nic) == offered ? offered : 0;
}

static bool file_has(const char *text) {
  char bytes[4096];
  int fd = open(double_leases_path(), O_RDONLY);
  ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof bytes - 1);
  if (fd >= 0) close(fd);
  bytes[length < 0 ? 0 : length] = 0;
  return strstr(bytes, text) != NULL;
}

static void a_lease_appears_in_the_file(void) {
  struct nic *nic = nic_start(VMNET_HOST_MODE);
  uint32_t address = lease(nic, 0xc0a88001);
  char text[64];
  CHECK(address >> 8 == 0xc0a880);
  snprintf(text, sizeof text, "{\n\tname=guest\n\tip_address=192.168.128.%u\n\thw_address=1,2:0:0:0:0:7\n\tidentifier=1,2:",
           address & 255);
  CHECK(SOON(file_has(text)) && file_has("\tlease=0x"));
  CHECK(strcmp(double_get("leases"), double_leases_path()) == 0);
  nic_stop(nic);
  CHECK(file_has(text)); /* as on a Mac, it stays */
}

static void reservations_are_lost_with_the_last_interface(void) {
  vmnet_network_ref it = network(VMNET_HOST_MODE, "192.168.70.1", true, NULL);
  struct nic *a = nic_start_on(description(0), it);
  CHECK(lease(a, 0xc0a84601) == 0xc0a8464d);
  CHECK(SOON(file_has("{\n\tname=guest\n\tip_address=192.168.70.77\n")) && SOON(file_has("192.168.128.")));
  nic_stop(a);
  a = nic_start_on(description(0), it);
  uint32_t address = lease(a, 0xc0a84601);
  CHECK(address >> 8 == 0xc0a846 && address != 0xc0a8464d);
  nic_stop(a);
  CFRelease(it);
  CHECK(nothing_lives());
}

static int entries(const char *path) {
  int count = 0;
  DIR *directory = opendir(path);
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

static void a_hundred_starts_leave_no_descriptor_and_no_thread(void) {
  SOON(double_count("workers") == 0);
  int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  for (int i = 0; i < 100; i++) CHECK(start_status(description(VMNET_HOST_MODE), NULL) == VMNET_SUCCESS);
  CHECK(nothing_lives());
  CHECK(SOON(entries("/proc/self/fd") <= fds) && SOON(entries("/proc/self/task") <= threads));
}

static void a_forward_really_listens(void) {
  struct nic *nic = nic_start(VMNET_SHARED_MODE);
  if (atomic_load(&nic->status) != VMNET_SUCCESS) {
    printf("  (shared mode needs libslirp: skipped)\n");
    dispatch_sync_f(nic->queue, NULL, nothing);
    nic_free(nic);
    return;
  }
  CHECK(!strncmp(nic_text(nic, vmnet_nat66_prefix_key), "fd", 2));
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  socklen_t length = sizeof here;
  int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bind(taken, (struct sockaddr *)&here, sizeof here), listen(taken, 1);
  getsockname(taken, (struct sockaddr *)&here, &length);
  uint16_t port = ntohs(here.sin_port);
  struct in_addr guest = {htonl(0xc0a84009)};
  for (int i = 0; i < 2; i++) { /* first another program has the port */
    __block atomic_uint said;
    atomic_init(&said, 0);
    CHECK(vmnet_interface_add_port_forwarding_rule(nic->ref, 6, port, guest, 80, ^(vmnet_return_t status) {
            atomic_store(&said, status);
          }) == VMNET_SUCCESS);
    CHECK(SOON(atomic_load(&said) != 0) && atomic_load(&said) == (i == 0 ? VMNET_FAILURE : VMNET_SUCCESS));
    if (i == 0) close(taken);
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool refused = connect(fd, (struct sockaddr *)&here, sizeof here) != 0 && errno == ECONNREFUSED;
  CHECK(!refused);
  close(fd);
  nic_stop(nic);
  CHECK(nothing_lives());
}

/* Run before this process has threads: a process that is killed leaves neither daemon nor directory behind. */
static void a_killed_process_leaves_nothing(void) {
  int words[2];
  CHECK(pipe(words) == 0);
  pid_t child = fork();
  if (child == 0) {
    struct nic *nic = nic_start(VMNET_HOST_MODE);
    struct {
      pid_t daemon;
      char path[256];
    } said = {daemon_of(getpid()), ""};
    snprintf(said.path, sizeof said.path, "%s", double_leases_path());
    if (atomic_load(&nic->status) == VMNET_SUCCESS) {
      ssize_t done = write(words[1], &said, sizeof said);
      (void)done;
    }
    pause();
  }
  struct {
    pid_t daemon;
    char path[256];
  } said = {0, ""};
  close(words[1]);
  CHECK(read(words[0], &said, sizeof said) == sizeof said && said.daemon > 0);
  close(words[0]);
  *strrchr(said.path, '/') = 0;
  struct stat facts;
  CHECK(stat(said.path, &facts) == 0 && (facts.st_mode & 0777) == 0700);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  CHECK(SOON(stat(said.path, &facts) != 0));
  CHECK(SOON(said.daemon <= 0 || kill(said.daemon, 0) != 0));
}

/* The last one: this process has no daemon after it. */
static void the_daemon_dies(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  vmnet_network_ref it = network(VMNET_HOST_MODE, "192.168.70.1", false, NULL);
  pid_t daemon = daemon_of(getpid());
  CHECK(daemon > 0 && kill(daemon, SIGKILL) == 0);
  CHECK(SOON(daemon_of(getpid()) == 0)); /* collected as well */
  CHECK(nic_write(a, 3, 60, 1, NULL) == VMNET_SUCCESS && nic_read(b, 8) == 0);
  CHECK(start_status(description(VMNET_HOST_MODE), NULL) == VMNET_FAILURE);
  CHECK(start_status(description(0), it) == VMNET_FAILURE);
  vmnet_return_t status = 0;
  CHECK(network(VMNET_HOST_MODE, "192.168.71.1", false, &status) == NULL && status == VMNET_FAILURE);
  CHECK(nic_stop(a) == VMNET_SUCCESS && nic_stop(b) == VMNET_SUCCESS);
  CFRelease(it);
  CHECK(nothing_lives());
}

int main(void) {
  RUN(a_killed_process_leaves_nothing);
  RUN(two_interfaces_meet);
  RUN(without_dhcp_too);
  RUN(order_survives);
  RUN(long_frames);
  RUN(bridged_ones_meet_by_name);
  RUN(a_lease_appears_in_the_file);
  RUN(reservations_are_lost_with_the_last_interface);
  RUN(a_hundred_starts_leave_no_descriptor_and_no_thread);
  RUN(a_forward_really_listens);
  RUN(the_daemon_dies);
  return finish();
}
