// SPDX-License-Identifier: MIT
/* share.c - the share itself: its directory, its socket and its token. Who connects is the business of member.c. */
#include "share.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "member.h"
#include "vmnet_shim.h"

enum { DIRECTORY_ROOM = 88 }; /* with "/socket" it fits sun_path everywhere: 104 bytes on macOS */
#define BACKLOG 64
#define ABANDONED_S 60 /* a directory without a socket: its maker died between two calls */

struct vn_share {
  struct vn_object object; /* first */
  struct vn_network *network;
  struct vn_listener listener;
  struct vn_command command;
  vn_atomic_u32 ending;
  bool begun; /* how run_begin() ended */
  bool ended; /* under the network's lock */
  char directory[DIRECTORY_ROOM];
};

/* Files. */

static bool address_of(const char *directory, const char *name, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", directory, name);
  return length > 0 && (size_t)length < sizeof address->sun_path;
}

/* Only sockets: whatever else lies there is not from here. */
static void remove_socket(const char *directory, const char *name) {
  struct sockaddr_un address;
  struct stat status;
  if (address_of(directory, name, &address) && lstat(address.sun_path, &status) == 0 && S_ISSOCK(status.st_mode))
    unlink(address.sun_path);
}

static void remove_files(const char *directory) {
  remove_socket(directory, "socket");
  remove_socket(directory, "new");
  rmdir(directory);
}

static const char *base_directory(void) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  struct stat status;
  bool usable = runtime != NULL && runtime[0] == '/' && strlen(runtime) < DIRECTORY_ROOM - 32 &&
                stat(runtime, &status) == 0 && S_ISDIR(status.st_mode) && access(runtime, W_OK | X_OK) == 0 &&
                status.st_uid == getuid() && (status.st_mode & 022) == 0; /* else others could exchange what is in it */
  return usable ? runtime : "/tmp";
}

/* Is this a directory of ours whose owner is dead? */
static bool is_stale(const char *directory) {
  struct stat status;
  struct sockaddr_un address;
  if (lstat(directory, &status) != 0 || status.st_uid != getuid()) return false;
  if ((status.st_mode & (S_IFMT | 0777)) != (S_IFDIR | 0700)) return false;
  if (!address_of(directory, "socket", &address)) return false;
  int fd = vn_unix_socket();
  if (fd < 0) return false;
  int error = connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ? errno : 0;
  close(fd);
  return error == ECONNREFUSED || (error == ENOENT && time(NULL) - status.st_mtime > ABANDONED_S);
}

static void sweep(const char *base, const char *prefix) {
  DIR *directory = opendir(base);
  if (directory == NULL) return;
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    char path[DIRECTORY_ROOM];
    if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || strlen(entry->d_name) != strlen(prefix) + 6) continue;
    int length = snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
    if (length > 0 && (size_t)length < sizeof path && is_stale(path)) remove_files(path);
  }
  closedir(directory);
}

/* Makes the directory and the listening socket. 0 or an errno. */
static int listen_here(struct vn_share *share) {
  const char *base = base_directory();
  char prefix[32];
  snprintf(prefix, sizeof prefix, "vmnet-%u-", (unsigned)getuid());
  sweep(base, prefix);
  snprintf(share->directory, sizeof share->directory, "%s/%sXXXXXX", base, prefix);
  if (mkdtemp(share->directory) == NULL) { /* mode 0700 */
    share->directory[0] = 0;
    return errno;
  }
  struct sockaddr_un address, final;
  bool fits = address_of(share->directory, "new", &address) && address_of(share->directory, "socket", &final);
  if (!fits) return ENAMETOOLONG;
  int fd = share->listener.watch.fd = vn_unix_socket();
  if (fd < 0) return errno;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) return errno;
  return rename(address.sun_path, final.sun_path) == 0 ? 0 : errno;
}

/* The network's thread. */

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct vn_share *share = (struct vn_share *)((char *)command - offsetof(struct vn_share, command));
  share->begun = !network->ending && vn_listener_add(network, &share->listener);
  if (share->begun) vn_retain(&share->object);
  vn_command_done(network, command);
}

static void end(struct vn_share *share) {
  struct vn_network *network = share->network;
  bool added = share->listener.added;
  if (added) {
    vn_listener_remove(network, &share->listener);
    remove_files(share->directory);
    vn_signal(&share->object, VN_READY_STATE);
  }
  vn_lock(&network->lock);
  share->ended = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
  if (added) vn_release(&share->object);
}

static void run_end(struct vn_network *network, struct vn_command *command) {
  (void)network;
  struct vn_share *share = (struct vn_share *)((char *)command - offsetof(struct vn_share, command));
  end(share);
  vn_release(&share->object);
}

void vn_share_end_all(struct vn_network *network) {
  while (network->listeners != NULL)
    end((struct vn_share *)((char *)network->listeners - offsetof(struct vn_share, listener)));
  vn_members_end_all(network);
}

/* The object. */

static void begin_end(struct vn_share *share) {
  if (vn_atomic_exchange(&share->ending, 1)) return;
  share->command.run = run_end;
  vn_retain(&share->object);
  if (!vn_network_post(share->network, &share->command)) vn_release(&share->object);
}

static void share_close(struct vn_object *object) {
  begin_end((struct vn_share *)object);
  vn_release(object);
}

static void share_destroy(struct vn_object *object) {
  struct vn_share *share = (struct vn_share *)object;
  if (share->listener.watch.fd >= 0) close(share->listener.watch.fd);
  vn_network_release(share->network);
  free(share);
}

const struct vn_class vn_share_class = {.kind = VN_SHARE, .close = share_close, .destroy = share_destroy};

void vn_share_stop(struct vn_object *object) {
  struct vn_share *share = (struct vn_share *)object;
  struct vn_network *network = share->network;
  begin_end(share);
  vn_lock(&network->lock);
  while (!share->ended && !network->ended) vn_lock_wait(&network->lock, 0);
  vn_unlock(&network->lock);
}

uint32_t vn_share_state(struct vn_object *object) {
  struct vn_share *share = (struct vn_share *)object;
  vn_lock(&share->network->lock);
  uint32_t status = share->ended ? VN_GONE : VN_OK;
  vn_unlock(&share->network->lock);
  return status;
}

static void write_token(const struct vn_share *share, struct vn_writer *out) {
  char token[sizeof VN_TOKEN_PREFIX + DIRECTORY_ROOM + 16 + 2 * VN_SECRET];
  int at = snprintf(token, sizeof token, VN_TOKEN_PREFIX "%s/socket:", share->directory);
  for (int i = 0; i < VN_SECRET; i++)
    at += snprintf(token + at, sizeof token - (size_t)at, "%02x", share->listener.secret[i]);
  vn_write_text(out, "token", token);
}

uint32_t vn_share_start(struct vn_network *network, struct vn_job *job) {
  if (!network->owner_process)
    return vn_fail(job, VN_UNSUPPORTED, NULL, "only the process that made a network can share it");
  struct vn_share *share = calloc(1, sizeof *share);
  if (share == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_object_init(&share->object, &vn_share_class, job->doorbell);
  vn_network_retain(network);
  share->network = network;
  share->listener.watch.fd = -1;
  vn_random(share->listener.secret, VN_SECRET);
  int error = listen_here(share);
  share->command.run = run_begin;
  if (error == 0 && vn_network_call(network, &share->command) && share->begun) {
    write_token(share, &job->result);
    job->made = &share->object;
    return VN_OK;
  }
  if (share->directory[0]) remove_files(share->directory);
  vn_release(&share->object);
  if (error != 0) return vn_fail_errno(job, "Cannot make the share's socket", error);
  return vn_fail(job, VN_GONE, NULL, "the network has ended");
}
