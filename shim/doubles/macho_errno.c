// SPDX-License-Identifier: MIT
/*
 * macho_errno.c - numbers of errors and of signals, from Linux to Darwin and back.
 *
 * Facts: Apple's published headers sys/errno.h and sys/signal.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "macho_libc.h"

/* Linux's name, Darwin's number; 1 to 34 are the same but for EDEADLK and EAGAIN. */
static const struct pair {
  int linux_number, darwin_number;
} errors[] = {
    {EDEADLK, 11},      {EAGAIN, 35},        {EINPROGRESS, 36},     {EALREADY, 37},         {ENOTSOCK, 38},
    {EDESTADDRREQ, 39}, {EMSGSIZE, 40},      {EPROTOTYPE, 41},      {ENOPROTOOPT, 42},      {EPROTONOSUPPORT, 43},
    {ENOTSUP, 45},      {EPFNOSUPPORT, 46},  {EAFNOSUPPORT, 47},    {EADDRINUSE, 48},       {EADDRNOTAVAIL, 49},
    {ENETDOWN, 50},     {ENETUNREACH, 51},   {ENETRESET, 52},       {ECONNABORTED, 53},     {ECONNRESET, 54},
    {ENOBUFS, 55},      {EISCONN, 56},       {ENOTCONN, 57},        {ESHUTDOWN, 58},        {ETOOMANYREFS, 59},
    {ETIMEDOUT, 60},    {ECONNREFUSED, 61},  {ELOOP, 62},           {ENAMETOOLONG, 63},     {EHOSTDOWN, 64},
    {EHOSTUNREACH, 65}, {ENOTEMPTY, 66},     {EUSERS, 68},          {EDQUOT, 69},           {ESTALE, 70},
    {EREMOTE, 71},      {ENOLCK, 77},        {ENOSYS, 78},          {EOVERFLOW, 84},        {ECANCELED, 89},
    {EIDRM, 90},        {ENOMSG, 91},        {EILSEQ, 92},          {ENODATA, 93 /* ENOATTR */}, {EBADMSG, 94},
    {EMULTIHOP, 95},    {ENOLINK, 97},       {ENOSR, 98},           {ENOSTR, 99},           {EPROTO, 100},
    {ETIME, 101},       {ENOTRECOVERABLE, 104}, {EOWNERDEAD, 105},
};

static const struct pair signals[] = {
    {SIGHUP, 1},   {SIGINT, 2},     {SIGQUIT, 3},   {SIGILL, 4},   {SIGTRAP, 5},    {SIGABRT, 6},  {SIGFPE, 8},
    {SIGKILL, 9},  {SIGBUS, 10},    {SIGSEGV, 11},  {SIGSYS, 12},  {SIGPIPE, 13},   {SIGALRM, 14}, {SIGTERM, 15},
    {SIGURG, 16},  {SIGSTOP, 17},   {SIGTSTP, 18},  {SIGCONT, 19}, {SIGCHLD, 20},   {SIGTTIN, 21}, {SIGTTOU, 22},
    {SIGIO, 23},   {SIGXCPU, 24},   {SIGXFSZ, 25},  {SIGVTALRM, 26}, {SIGPROF, 27}, {SIGWINCH, 28}, {SIGUSR1, 30},
    {SIGUSR2, 31},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int map(const struct pair *pairs, size_t count, int number, bool back, int missing) {
  for (size_t i = 0; i < count; i++)
    if ((back ? pairs[i].darwin_number : pairs[i].linux_number) == number)
      return back ? pairs[i].linux_number : pairs[i].darwin_number;
  return missing;
}

int darwin_errno(int error) { return map(errors, COUNT(errors), error, false, error >= 0 && error <= 34 ? error : 5); }
int darwin_errno_back(int error) {
  return map(errors, COUNT(errors), error, true, error >= 0 && error <= 34 ? error : EIO);
}
int darwin_signal(int number) { return number == 0 ? 0 : map(signals, COUNT(signals), number, false, 0); }
int darwin_signal_back(int number) { return number == 0 ? 0 : map(signals, COUNT(signals), number, true, -1); }

/* All of Darwin's signals mean all of Linux's, its further ones too: who blocks everything wants to be left alone. */
void darwin_sigset_back(uint32_t set, sigset_t *out) {
  if (~set == 0) {
    sigfillset(out);
    return;
  }
  sigemptyset(out);
  for (size_t i = 0; i < COUNT(signals); i++)
    if (set & 1u << (signals[i].darwin_number - 1)) sigaddset(out, signals[i].linux_number);
}

uint32_t darwin_sigset(const sigset_t *set) {
  uint32_t out = 0;
  for (size_t i = 0; i < COUNT(signals); i++)
    if (sigismember(set, signals[i].linux_number) == 1) out |= 1u << (signals[i].darwin_number - 1);
  return out;
}

_Noreturn void darwin_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("macho: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  abort();
}
