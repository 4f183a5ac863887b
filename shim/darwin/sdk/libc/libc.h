// SPDX-License-Identifier: MIT
/*
 * libc.h - our own declarations of what the shim uses of macOS's C library, for the cross build alone: the standard
 * headers of that build all lead here. Layouts and values are those of a 64-bit process on x86_64 and arm64.
 */
#ifndef VN_SDK_LIBC_H
#define VN_SDK_LIBC_H

#include <stddef.h>
#include <stdint.h>

#include "../fact.h"

/* stat() and its like have another name on x86_64, from the time when an inode number had 32 bits. */
#if defined(__x86_64__)
#define VN_INODE64(name) __asm("_" name "$INODE64")
#else
#define VN_INODE64(name)
#endif

/* sys/types.h */
typedef long ssize_t;
typedef long time_t;
typedef int32_t pid_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef uint16_t mode_t;
typedef uint16_t nlink_t;
typedef int32_t dev_t;
typedef uint64_t ino_t;
typedef int64_t off_t;
typedef int64_t blkcnt_t;
typedef int32_t blksize_t;
typedef uint32_t sigset_t;
typedef uint32_t socklen_t;
typedef uint8_t sa_family_t;
typedef uint32_t in_addr_t;
typedef uint16_t in_port_t;

/* errno.h */
extern int *__error(void);
#ifndef errno
#define errno (*__error())
#endif
VN_CONSTANT(ENOENT, 2)
VN_CONSTANT(EINTR, 4)
VN_CONSTANT(ENOEXEC, 8)
VN_CONSTANT(EBADF, 9)
VN_CONSTANT(ECHILD, 10)
VN_CONSTANT(ENOMEM, 12)
VN_CONSTANT(EACCES, 13)
VN_CONSTANT(EEXIST, 17)
VN_CONSTANT(ENOTDIR, 20)
VN_CONSTANT(EINVAL, 22)
VN_CONSTANT(ENFILE, 23)
VN_CONSTANT(EMFILE, 24)
VN_CONSTANT(EAGAIN, 35)
VN_CONSTANT(EWOULDBLOCK, 35)
VN_CONSTANT(EINPROGRESS, 36)
VN_CONSTANT(EMSGSIZE, 40)
VN_CONSTANT(EPROTOTYPE, 41)
VN_CONSTANT(EADDRINUSE, 48)
VN_CONSTANT(ECONNABORTED, 53)
VN_CONSTANT(ENOBUFS, 55)
VN_CONSTANT(ETIMEDOUT, 60)
VN_CONSTANT(ECONNREFUSED, 61)
VN_CONSTANT(ENAMETOOLONG, 63)
VN_CONSTANT(ENOSYS, 78)

/* stdlib.h, string.h, stdio.h */
void *malloc(size_t size) __attribute__((malloc));
void *calloc(size_t count, size_t size) __attribute__((malloc));
void *realloc(void *memory, size_t size);
void *aligned_alloc(size_t alignment, size_t size) __attribute__((malloc));
void free(void *memory);
int atexit(void (*function)(void));
char *getenv(const char *name);
unsigned long strtoul(const char *text, char **end, int base);
char *mkdtemp(char *pattern);
char *realpath(const char *path, char *out) __asm("_realpath$DARWIN_EXTSN");
int rename(const char *from, const char *to);

void *memchr(const void *memory, int byte, size_t length);
int memcmp(const void *left, const void *right, size_t length);
void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *memory, int byte, size_t length);
char *strcat(char *to, const char *from);
char *strchr(const char *text, int byte);
char *strrchr(const char *text, int byte);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t length);
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t length);
size_t strlen(const char *text);
size_t strspn(const char *text, const char *bytes);
char *strstr(const char *text, const char *part);
int strerror_r(int error, char *out, size_t capacity);
int snprintf(char *out, size_t capacity, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* time.h */
#define VN_TIMESPEC(F, s) F(s, time_t, tv_sec, ) F(s, long, tv_nsec, )
VN_STRUCT(timespec, VN_TIMESPEC)
VN_ENUM_TYPE(uint32_t, clockid_t)
VN_CONSTANT(CLOCK_REALTIME, 0)
VN_CONSTANT(CLOCK_MONOTONIC, 6)
int clock_gettime(clockid_t clock, struct timespec *time);
int nanosleep(const struct timespec *time, struct timespec *left);
time_t time(time_t *time);

/* signal.h, sys/wait.h, spawn.h */
VN_CONSTANT(SIGKILL, 9)
VN_CONSTANT(SIGPIPE, 13)
VN_CONSTANT(SIG_SETMASK, 3)
#ifndef sigemptyset
#define sigemptyset(set) (*(set) = 0, 0)
#define sigfillset(set) (*(set) = ~(sigset_t)0, 0)
#endif
int kill(pid_t process, int signal);
VN_CONSTANT(WNOHANG, 1)
pid_t waitpid(pid_t process, int *status, int options);
typedef void *posix_spawnattr_t;
typedef void *posix_spawn_file_actions_t;
VN_CONSTANT(POSIX_SPAWN_SETPGROUP, 0x0002)
VN_CONSTANT(POSIX_SPAWN_SETSIGDEF, 0x0004)
VN_CONSTANT(POSIX_SPAWN_SETSIGMASK, 0x0008)
VN_CONSTANT(POSIX_SPAWN_CLOEXEC_DEFAULT, 0x4000)
int posix_spawn(pid_t *process, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]);
int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions);
int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions);
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to);
int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags,
                                     mode_t mode);
int posix_spawnattr_init(posix_spawnattr_t *attributes);
int posix_spawnattr_destroy(posix_spawnattr_t *attributes);
int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags);
int posix_spawnattr_setpgroup(posix_spawnattr_t *attributes, pid_t group);
int posix_spawnattr_setsigdefault(posix_spawnattr_t *attributes, const sigset_t *set);
int posix_spawnattr_setsigmask(posix_spawnattr_t *attributes, const sigset_t *set);
char ***_NSGetEnviron(void); /* crt_externs.h */

/* pthread.h */
#define VN_OPAQUE_56(F, s) F(s, long, __sig, ) F(s, char, __opaque, [56])
#define VN_OPAQUE_40(F, s) F(s, long, __sig, ) F(s, char, __opaque, [40])
#define VN_OPAQUE_8(F, s) F(s, long, __sig, ) F(s, char, __opaque, [8])
VN_STRUCT(_opaque_pthread_mutex_t, VN_OPAQUE_56)
VN_STRUCT(_opaque_pthread_cond_t, VN_OPAQUE_40)
VN_STRUCT(_opaque_pthread_attr_t, VN_OPAQUE_56)
VN_STRUCT(_opaque_pthread_mutexattr_t, VN_OPAQUE_8)
VN_STRUCT(_opaque_pthread_condattr_t, VN_OPAQUE_8)
typedef struct _opaque_pthread_mutex_t pthread_mutex_t;
typedef struct _opaque_pthread_cond_t pthread_cond_t;
typedef struct _opaque_pthread_attr_t pthread_attr_t;
typedef struct _opaque_pthread_mutexattr_t pthread_mutexattr_t;
typedef struct _opaque_pthread_condattr_t pthread_condattr_t;
typedef struct _opaque_pthread_t *pthread_t;
typedef unsigned long pthread_key_t;
VN_CONSTANT(PTHREAD_CREATE_DETACHED, 2)
int pthread_attr_init(pthread_attr_t *attributes);
int pthread_attr_destroy(pthread_attr_t *attributes);
int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state);
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);
pthread_t pthread_self(void);
int pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);
int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int pthread_cond_destroy(pthread_cond_t *condition);
int pthread_cond_broadcast(pthread_cond_t *condition);
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int pthread_cond_timedwait_relative_np(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time);
int pthread_key_create(pthread_key_t *key, void (*ended)(void *));
void *pthread_getspecific(pthread_key_t key);
int pthread_setspecific(pthread_key_t key, const void *value);

/* dlfcn.h; for the shim's own place, libpcap, and what the C library has but does not declare. The struct has a tag in
 * the system's headers too. */
#define VN_DL_INFO(F, s) \
  F(s, const char *, dli_fname, ) F(s, void *, dli_fbase, ) F(s, const char *, dli_sname, ) F(s, void *, dli_saddr, )
VN_STRUCT(dl_info, VN_DL_INFO)
typedef struct dl_info Dl_info;
VN_CONSTANT(RTLD_NOW, 0x2)
VN_CONSTANT(RTLD_NODELETE, 0x80)
void *dlopen(const char *path, int mode);
void *dlsym(void *library, const char *name);
int dladdr(const void *address, Dl_info *info);

/* unistd.h, fcntl.h, sys/stat.h, dirent.h, poll.h, sys/random.h, sys/sysctl.h, sys/xattr.h */
VN_CONSTANT(F_SETFD, 2)
VN_CONSTANT(F_GETFL, 3)
VN_CONSTANT(F_SETFL, 4)
VN_CONSTANT(F_DUPFD_CLOEXEC, 67)
VN_CONSTANT(FD_CLOEXEC, 1)
VN_CONSTANT(O_RDONLY, 0)
VN_CONSTANT(O_RDWR, 2)
VN_CONSTANT(O_NONBLOCK, 4)
VN_CONSTANT(O_CLOEXEC, 0x01000000)
VN_CONSTANT(X_OK, 1)
VN_CONSTANT(W_OK, 2)
VN_CONSTANT(PATH_MAX, 1024)
int fcntl(int fd, int command, ...);
int open(const char *path, int flags, ...);
int close(int fd);
ssize_t read(int fd, void *out, size_t length);
ssize_t write(int fd, const void *bytes, size_t length);
ssize_t pread(int fd, void *out, size_t length, off_t from);
int access(const char *path, int mode);
int unlink(const char *path);
int link(const char *from, const char *to);
int rmdir(const char *path);
pid_t getpid(void);
uid_t getuid(void);
uid_t geteuid(void);
int getpeereid(int fd, uid_t *user, gid_t *group);
void _exit(int status) __attribute__((noreturn));

#define VN_STAT(F, s)                                                                                                \
  F(s, dev_t, st_dev, ) F(s, mode_t, st_mode, ) F(s, nlink_t, st_nlink, ) F(s, ino_t, st_ino, ) F(s, uid_t, st_uid, ) \
  F(s, gid_t, st_gid, ) F(s, dev_t, st_rdev, ) F(s, struct timespec, st_atimespec, )                                 \
  F(s, struct timespec, st_mtimespec, ) F(s, struct timespec, st_ctimespec, )                                        \
  F(s, struct timespec, st_birthtimespec, ) F(s, off_t, st_size, ) F(s, blkcnt_t, st_blocks, )                       \
  F(s, blksize_t, st_blksize, ) F(s, uint32_t, st_flags, ) F(s, uint32_t, st_gen, ) F(s, int32_t, st_lspare, )       \
  F(s, int64_t, st_qspare, [2])
VN_STRUCT(stat, VN_STAT)
#ifndef st_mtime
#define st_mtime st_mtimespec.tv_sec
#endif
VN_CONSTANT(S_IFMT, 0170000)
VN_CONSTANT(S_IFDIR, 0040000)
VN_CONSTANT(S_IFREG, 0100000)
VN_CONSTANT(S_IFSOCK, 0140000)
#ifndef S_ISDIR
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == S_IFSOCK)
#endif
int stat(const char *path, struct stat *out) VN_INODE64("stat");
int lstat(const char *path, struct stat *out) VN_INODE64("lstat");
int fstat(int fd, struct stat *out) VN_INODE64("fstat");
int chmod(const char *path, mode_t mode);
int fchmod(int fd, mode_t mode);

#ifndef VN_SDK_CHECK /* a struct without a name there */
typedef struct vn_directory DIR;
#endif
#define VN_DIRENT(F, s)                                                                                   \
  F(s, uint64_t, d_ino, ) F(s, uint64_t, d_seekoff, ) F(s, uint16_t, d_reclen, ) F(s, uint16_t, d_namlen, ) \
  F(s, uint8_t, d_type, ) F(s, char, d_name, [1024])
VN_STRUCT(dirent, VN_DIRENT)
DIR *opendir(const char *path) VN_INODE64("opendir");
struct dirent *readdir(DIR *directory) VN_INODE64("readdir");
int closedir(DIR *directory);

#define VN_POLLFD(F, s) F(s, int, fd, ) F(s, short, events, ) F(s, short, revents, )
VN_STRUCT(pollfd, VN_POLLFD)
typedef unsigned int nfds_t;
VN_CONSTANT(POLLIN, 0x01)
VN_CONSTANT(POLLOUT, 0x04)
VN_CONSTANT(POLLHUP, 0x10)
int poll(struct pollfd *watched, nfds_t count, int ms);

int getentropy(void *out, size_t length);
int sysctlbyname(const char *name, void *out, size_t *out_length, void *value, size_t length);
ssize_t getxattr(const char *path, const char *name, void *out, size_t capacity, uint32_t position, int options);

/* sys/socket.h, sys/un.h, sys/uio.h, netinet/in.h, netinet/tcp.h, net/ethernet.h, arpa/inet.h */
#define VN_IOVEC(F, s) F(s, void *, iov_base, ) F(s, size_t, iov_len, )
VN_STRUCT(iovec, VN_IOVEC)
#define VN_SOCKADDR(F, s) F(s, uint8_t, sa_len, ) F(s, sa_family_t, sa_family, ) F(s, char, sa_data, [14])
VN_STRUCT(sockaddr, VN_SOCKADDR)
#define VN_SOCKADDR_UN(F, s) \
  F(s, unsigned char, sun_len, ) F(s, sa_family_t, sun_family, ) F(s, char, sun_path, [104])
VN_STRUCT(sockaddr_un, VN_SOCKADDR_UN)
#define VN_MSGHDR(F, s)                                                                                     \
  F(s, void *, msg_name, ) F(s, socklen_t, msg_namelen, ) F(s, struct iovec *, msg_iov, ) F(s, int, msg_iovlen, ) \
  F(s, void *, msg_control, ) F(s, socklen_t, msg_controllen, ) F(s, int, msg_flags, )
VN_STRUCT(msghdr, VN_MSGHDR)
#define VN_IN_ADDR(F, s) F(s, in_addr_t, s_addr, )
VN_STRUCT(in_addr, VN_IN_ADDR)
#define VN_IN6_ADDR(F, s) \
  F(s, union { uint8_t __u6_addr8[16]; uint16_t __u6_addr16[8]; uint32_t __u6_addr32[4]; }, __u6_addr, )
VN_STRUCT(in6_addr, VN_IN6_ADDR)
#ifndef s6_addr
#define s6_addr __u6_addr.__u6_addr8
#endif
#define VN_SOCKADDR_IN(F, s)                                                                \
  F(s, uint8_t, sin_len, ) F(s, sa_family_t, sin_family, ) F(s, in_port_t, sin_port, ) \
  F(s, struct in_addr, sin_addr, ) F(s, char, sin_zero, [8])
VN_STRUCT(sockaddr_in, VN_SOCKADDR_IN)
#define VN_SOCKADDR_IN6(F, s)                                                                  \
  F(s, uint8_t, sin6_len, ) F(s, sa_family_t, sin6_family, ) F(s, in_port_t, sin6_port, ) \
  F(s, uint32_t, sin6_flowinfo, ) F(s, struct in6_addr, sin6_addr, ) F(s, uint32_t, sin6_scope_id, )
VN_STRUCT(sockaddr_in6, VN_SOCKADDR_IN6)
#define VN_ETHER_ADDR(F, s) F(s, unsigned char, octet, [6])
VN_STRUCT(ether_addr, VN_ETHER_ADDR)

VN_CONSTANT(AF_UNIX, 1)
VN_CONSTANT(AF_INET, 2)
VN_CONSTANT(AF_INET6, 30)
VN_CONSTANT(INET6_ADDRSTRLEN, 46)
VN_CONSTANT(INADDR_LOOPBACK, 0x7f000001)
VN_CONSTANT(IPPROTO_TCP, 6)
VN_CONSTANT(TCP_NODELAY, 1)
VN_CONSTANT(SOCK_STREAM, 1)
VN_CONSTANT(SOCK_DGRAM, 2)
VN_CONSTANT(SOL_SOCKET, 0xffff)
VN_CONSTANT(SO_ACCEPTCONN, 0x0002)
VN_CONSTANT(SO_REUSEADDR, 0x0004)
VN_CONSTANT(SO_SNDBUF, 0x1001)
VN_CONSTANT(SO_RCVBUF, 0x1002)
VN_CONSTANT(SO_ERROR, 0x1007)
VN_CONSTANT(SO_TYPE, 0x1008)
VN_CONSTANT(SO_NOSIGPIPE, 0x1022)
VN_CONSTANT(MSG_TRUNC, 0x10)
VN_CONSTANT(MSG_DONTWAIT, 0x80)
VN_CONSTANT(SHUT_RDWR, 2)
#ifndef SO_NOSIGPIPE
#define SO_NOSIGPIPE SO_NOSIGPIPE /* some ask by #ifdef */
#endif
int socket(int family, int type, int protocol);
int socketpair(int family, int type, int protocol, int pair[2]);
int bind(int fd, const struct sockaddr *address, socklen_t length);
int listen(int fd, int waiting);
int accept(int fd, struct sockaddr *address, socklen_t *length);
int connect(int fd, const struct sockaddr *address, socklen_t length);
int shutdown(int fd, int how);
int getsockname(int fd, struct sockaddr *address, socklen_t *length);
int getpeername(int fd, struct sockaddr *address, socklen_t *length);
int setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int getsockopt(int fd, int level, int option, void *value, socklen_t *length);
ssize_t send(int fd, const void *bytes, size_t length, int flags);
ssize_t recv(int fd, void *out, size_t length, int flags);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t recvmsg(int fd, struct msghdr *message, int flags);
int inet_pton(int family, const char *text, void *out);
const char *inet_ntop(int family, const void *address, char *out, socklen_t capacity);
#ifndef htonl
#define htonl(value) __builtin_bswap32(value)
#define ntohl(value) __builtin_bswap32(value)
#define htons(value) __builtin_bswap16(value)
#define ntohs(value) __builtin_bswap16(value)
#endif

#endif
