// SPDX-License-Identifier: MIT
/* connections.c - which port a connection gets and what becomes of it; connect.c has the sockets' side. */
#include "connections.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"
#include "vmnet_shim.h"

#define SETTLED_NS 5000000000ull /* a connection that lasted so long was a good one: the next delay is the least again */

static struct vn_network *network_of(const struct vn_connections *list) { return list->endpoint.network; }

/* Is there one port at most, which whoever comes next gets? */
static bool is_single(const struct vn_connections *list) {
  return !list->endpoint.options.listen || list->endpoint.options.clients == 1 || network_of(list)->straight;
}

static void tell(const struct vn_connection *connection, const char *type, const uint8_t *mac) {
  vn_plane_event(connection->port, type, mac, connection->detail[0] ? connection->detail : NULL);
}

static const uint8_t *mac_of(const struct vn_connection *connection) {
  return connection->has_mac ? connection->mac : NULL;
}

/* Absent clients. */

static struct vn_connection *oldest_absent(struct vn_connections *list) {
  struct vn_connection *oldest = NULL;
  for (struct vn_connection *at = list->first; at != NULL; at = at->next)
    if (at->left_ns != 0 && (oldest == NULL || at->left_ns < oldest->left_ns)) oldest = at;
  return oldest;
}

static struct vn_connection *find_absent(struct vn_connections *list, const uint8_t mac[6]) {
  struct vn_connection *newest = NULL;
  for (struct vn_connection *at = list->first; at != NULL; at = at->next)
    if (!VN_BROKEN(84) && at->left_ns != 0 && at->has_mac && memcmp(at->mac, mac, 6) == 0 &&
        (newest == NULL || at->left_ns > newest->left_ns))
      newest = at;
  return newest;
}

/* Remembers by which address the connection will be known again; never by that of another one that is here. */
static void claim(struct vn_connection *connection, const uint8_t mac[6]) {
  for (const struct vn_connection *at = connection->of->first; at != NULL; at = at->next)
    if (at != connection && at->left_ns == 0 && at->has_mac && memcmp(at->mac, mac, 6) == 0) return;
  memcpy(connection->mac, mac, 6);
  connection->has_mac = true;
}

static void forget(struct vn_connection *absent) { vn_network_remove(absent->port, VN_GONE); }

/* Only a listener's are forgotten: who connects will come back. */
static void set_absence(struct vn_connections *list) {
  const struct vn_connection *oldest = list->connects || list->ending ? NULL : oldest_absent(list);
  vn_network_timer(network_of(list), &list->absence, oldest != NULL ? oldest->left_ns + VN_ABSENT_NS : 0);
}

static void absence_due(struct vn_network *network, struct vn_timer *timer) {
  struct vn_connections *list = (struct vn_connections *)((char *)timer - offsetof(struct vn_connections, absence));
  struct vn_connection *oldest;
  while ((oldest = oldest_absent(list)) != NULL && oldest->left_ns + VN_ABSENT_NS <= network->now_ns) forget(oldest);
  set_absence(list);
}

/* Coming. */

static void is_here(struct vn_connection *connection) {
  connection->left_ns = 0;
  connection->since_ns = vn_monotonic_ns();
  vn_count(&connection->of->endpoint.clients, 1);
  vn_count(&connection->of->endpoint.accepted, 1);
}

static bool come_back(struct vn_connection *absent, int fd) {
  struct vn_connections *list = absent->of;
  vn_reach_describe(fd, absent->detail);
  if (!list->class->give(absent->port, fd)) return false;
  list->absent--;
  is_here(absent);
  set_absence(list);
  absent->told = true;
  tell(absent, VN_RECONNECTED, mac_of(absent));
  return true;
}

static bool come_new(struct vn_connections *list, int fd) {
  struct vn_network *network = network_of(list);
  struct vn_connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) {
    close(fd);
    return false;
  }
  connection->of = list;
  vn_reach_describe(fd, connection->detail);
  /* Those who are here go before those who are not. */
  if (list->absent > 0 && vn_counted(&network->port_count) + 1 >= VN_SWITCH_PORTS) forget(oldest_absent(list));
  connection->port = list->class->make(connection, fd);
  bool made = connection->port != NULL;
  if (made && !vn_endpoint_port_init(&list->endpoint, connection->port)) {
    list->class->discard(connection->port);
    made = false;
  }
  if (!made || !list->class->add(connection->port)) {
    free(connection);
    return false;
  }
  connection->next = list->first;
  list->first = connection;
  is_here(connection);
  connection->told = list->absent == 0;
  if (connection->told) tell(connection, VN_CONNECTED, NULL);
  return true;
}

void vn_connections_came(struct vn_connections *list, int fd) {
  struct vn_connection *absent = is_single(list) ? oldest_absent(list) : NULL;
  uint32_t most = is_single(list) ? 1 : list->endpoint.options.clients;
  bool welcome = vn_counted(&list->endpoint.clients) < most && vn_reach_prepare(fd) == VN_OK;
  if (!welcome && !VN_BROKEN(94)) close(fd);
  else welcome = absent != NULL ? come_back(absent, fd) : come_new(list, fd);
  if (!welcome) vn_count(&list->endpoint.refused, 1);
  if (!welcome && list->connects) vn_connections_retry(list);
}

void vn_connection_first(struct vn_connection *connection, const struct vn_packet *packet) {
  struct vn_connections *list = connection->of;
  const uint8_t *mac = packet->length >= VN_ETHERNET_HEADER && !(packet->frame[6] & 1) ? packet->frame + 6 : NULL;
  if (list->endpoint.options.listen && is_single(list) && mac != NULL) { /* the port may have been another guest's */
    if (!connection->has_mac || memcmp(connection->mac, mac, 6) != 0) vn_guard_forget(connection->port->guard);
    claim(connection, mac);
    return;
  }
  struct vn_connection *absent = mac != NULL ? find_absent(list, mac) : NULL;
  bool told = connection->told;
  connection->told = true;
  if (mac != NULL) claim(connection, mac);
  if (absent == NULL) {
    if (!told) tell(connection, VN_CONNECTED, mac);
    return;
  }
  if (told) tell(connection, VN_DISCONNECTED, NULL); /* it came before the other one was missed: its number goes */
  vn_place_exchange(absent->port, connection->port);
  forget(absent); /* what is left of it: the newcomer's place */
  tell(connection, VN_RECONNECTED, mac);
}

/* Going. */

bool vn_connection_lost(struct vn_connection *connection) {
  struct vn_connections *list = connection->of;
  const struct vn_endpoint_options *options = &list->endpoint.options;
  uint64_t now = vn_monotonic_ns();
  if (now - connection->since_ns >= SETTLED_NS) list->delay_ns = 0;
  uint8_t used[6]; /* last, by the switch; where another port has it by now, what the first frame said still holds */
  if (vn_place_mac(connection->port, used)) claim(connection, used);
  bool stays = options->listen ? connection->has_mac || is_single(list) : list->connects && options->reconnect;
  if (!stays || list->ending) return false; /* removed() comes next, and tells it */
  if (connection->told) tell(connection, VN_DISCONNECTED, mac_of(connection));
  connection->told = false;
  if (!VN_BROKEN(98)) vn_count(&list->endpoint.clients, (uint32_t)-1);
  if (list->absent == VN_ABSENT_MOST) forget(oldest_absent(list));
  connection->left_ns = now;
  list->absent++;
  if (list->connects) vn_connections_retry(list);
  else set_absence(list);
  return true;
}

void vn_connection_removed(struct vn_connection *connection, uint32_t status) {
  struct vn_connections *list = connection->of;
  bool away = connection->left_ns != 0;
  struct vn_connection **at = &list->first;
  while (*at != connection) at = &(*at)->next;
  *at = connection->next;
  if (away) list->absent--;
  else vn_count(&list->endpoint.clients, (uint32_t)-1);
  if (!away && connection->told && !list->ending) tell(connection, VN_DISCONNECTED, mac_of(connection));
  free(connection);
  if (list->ending || list->endpoint.options.listen) return;
  if (!list->connects || !list->endpoint.options.reconnect) vn_endpoint_fail(&list->endpoint, status);
  else if (!away) vn_connections_retry(list);
}

/* The endpoint. */

static uint32_t take_fd(struct vn_job *job, struct vn_connections *list) {
  struct vn_endpoint_options *options = &list->endpoint.options;
  struct vn_reach peer;
  socklen_t length = sizeof peer.address;
  uint32_t status = vn_socket_check(job, options->fd, list->class->type);
  if (status != VN_OK) return status;
  bool named = getsockname(options->fd, &peer.address.any, &length) == 0;
  int family = peer.address.any.sa_family;
  if (!named || (family != AF_UNIX && family != AF_INET && family != AF_INET6))
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is neither a unix socket nor a TCP connection");
  length = sizeof peer.address;
  if (getpeername(options->fd, &peer.address.any, &length) != 0)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is not connected");
  list->fd = options->fd;
  options->fd = -1;
  return VN_OK;
}

static uint32_t make_pair(struct vn_job *job, struct vn_connections *list) {
  int pair[2];
#ifdef SOCK_CLOEXEC
  bool made = socketpair(AF_UNIX, list->class->type | SOCK_CLOEXEC, 0, pair) == 0;
#else
  bool made = socketpair(AF_UNIX, list->class->type, 0, pair) == 0;
  int blocking;
  if (made && ((blocking = fcntl(pair[1], F_GETFL)) < 0 || vn_socket_prepare(pair[1]) != VN_OK ||
               fcntl(pair[1], F_SETFL, blocking) != 0)) {
    close(pair[0]);
    close(pair[1]);
    made = false;
  }
#endif
  if (!made) return vn_fail(job, VN_NO_MEMORY, NULL, "there are no more descriptors");
  list->fd = pair[0];
  job->given = pair[1];
  vn_write_number(&job->result, "fd", (uint64_t)pair[1]);
  return VN_OK;
}

uint32_t vn_connections_open(struct vn_job *job, struct vn_connections *list, const struct vn_connection_class *class) {
  struct vn_endpoint_options *options = &list->endpoint.options;
  list->class = class;
  list->fd = list->watch.fd = -1;
  list->absence.due = absence_due;
  uint32_t status;
  if (options->fd >= 0) {
    status = take_fd(job, list);
  } else if (options->pair) {
    status = make_pair(job, list);
  } else {
    status = vn_reach_parse(job, options, class->type, &list->reach);
    if (status != VN_OK) return status;
    list->connects = !options->listen;
    list->fd = options->listen ? vn_reach_listen(job, options, &list->reach, &status)
                               : vn_reach_wait(job, &list->reach, &status);
    if (options->listen && list->fd >= 0 && options->path[0]) list->inode = vn_socket_inode(options->path);
  }
  return status;
}

uint32_t vn_connections_begin(struct vn_connections *list) {
  int fd = list->fd;
  list->fd = -1;
  if (list->endpoint.options.listen) {
    list->watch.fd = fd;
    return vn_connections_listen(list);
  }
  if (vn_reach_prepare(fd) != VN_OK) {
    close(fd);
    return VN_BAD_OPTION;
  }
  return come_new(list, fd) ? VN_OK : VN_NO_MEMORY;
}

void vn_connections_end(struct vn_connections *list, uint32_t status) {
  list->ending = true;
  vn_network_timer(network_of(list), &list->pause, 0);
  vn_network_timer(network_of(list), &list->absence, 0);
  vn_socket_forget(list->endpoint.options.path, list->inode); /* while the listener holds the inode, so that it is ours */
  list->inode = 0;
  vn_connections_unwatch(list);
  while (list->first != NULL) vn_network_remove(list->first->port, status);
}

void vn_connections_free(struct vn_connections *list) {
  vn_socket_forget(list->endpoint.options.path, list->inode);
  if (list->fd >= 0) close(list->fd);
  if (list->watch.fd >= 0 && !list->watching) close(list->watch.fd);
}
