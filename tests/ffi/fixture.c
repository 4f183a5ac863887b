// SPDX-License-Identifier: MIT
//
// fixture.c - the C side of the FFI tests
//
// One function for each thing that a binding can get wrong. Nothing here checks
// its arguments: a wrong value has to show in the answer.

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

// ---- every type, in and out

#define IDENTITY(name, type) \
	EXPORT type id_##name(type value) { return value; }
IDENTITY(char, signed char)
IDENTITY(i8, int8_t)
IDENTITY(u8, uint8_t)
IDENTITY(i16, int16_t)
IDENTITY(u16, uint16_t)
IDENTITY(i32, int32_t)
IDENTITY(u32, uint32_t)
IDENTITY(i64, int64_t)
IDENTITY(u64, uint64_t)
IDENTITY(f64, double)
IDENTITY(f32, float)
IDENTITY(bool, bool)
IDENTITY(ptr, void *)
IDENTITY(cstring, const char *)

EXPORT int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
EXPORT uint32_t add_u32(uint32_t a, uint32_t b) { return a + b; }
EXPORT double add_f64(double a, double b) { return a + b; }
EXPORT float add_f32(float a, float b) { return a + b; }
EXPORT uint64_t add_u64(uint64_t a, uint64_t b) { return a + b; }
EXPORT int64_t add_i64(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
EXPORT bool not(bool a) { return !a; }
EXPORT void nothing(void) {}
EXPORT int32_t answer(void) { return 42; }

// A byte as C code without <stdbool.h> returns it for a truth value
EXPORT uint8_t truth(int32_t value) { return (uint8_t)value; }

// ---- many arguments: past 6 integer and 8 floating-point registers (x86-64), past 8 and 8 (arm64)

EXPORT double mix8(int32_t a, double b, int64_t c, float d, uint8_t e, double f, uint64_t g, float h)
{
	return a + 2 * b + 3 * (double)c + 4 * (double)d + 5 * e + 6 * f + 7 * (double)g + 8 * (double)h;
}

#define D4(x) double x##0, double x##1, double x##2, double x##3
#define I4(x) int32_t x##0, int32_t x##1, int32_t x##2, int32_t x##3
#define S4(x, n) (n * x##0 + (n + 1) * x##1 + (n + 2) * x##2 + (n + 3) * x##3)
EXPORT double mix24(I4(a), D4(b), I4(c), D4(d), I4(e), D4(f))
{
	return S4(a, 1) + S4(b, 5) + S4(c, 9) + S4(d, 13) + S4(e, 17) + S4(f, 21);
}

// Narrow types on the stack are where calling conventions differ most
EXPORT int64_t narrow12(int8_t a, uint8_t b, int16_t c, uint16_t d, int8_t e, uint8_t f, int16_t g, uint16_t h, int8_t i,
			uint8_t j, int16_t k, uint16_t l)
{
	int64_t sum = 0;
	int64_t all[] = {a, b, c, d, e, f, g, h, i, j, k, l};
	for (int n = 0; n < 12; n++)
		sum = sum * 7 + all[n];
	return sum;
}

// ---- memory

EXPORT uint64_t address_of(const void *p) { return (uint64_t)(uintptr_t)p; }
EXPORT int32_t is_null(const void *p) { return p == NULL; }
EXPORT int32_t same(const void *a, const void *b) { return a == b; }
EXPORT uint64_t length_of(const void *p, uint64_t length) { return p ? length : length + 1000; }

EXPORT int32_t sum_bytes(const uint8_t *p, int32_t count)
{
	int32_t sum = 0;
	for (int32_t i = 0; i < count; i++)
		sum += p[i];
	return sum;
}

EXPORT void fill(uint8_t *p, int32_t count, uint8_t value) { memset(p, value, (size_t)count); }

EXPORT int32_t five_pointers(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, const uint8_t *e)
{
	return (a ? *a : 0) + 10 * (b ? *b : 0) + 100 * (c ? *c : 0) + 1000 * (d ? *d : 0) + 10000 * (e ? *e : 0);
}

struct person {
	uint32_t id;
	double height;
	const char *name;
	struct person *next;
};

EXPORT struct person *person_new(uint32_t id, double height, const char *name)
{
	struct person *p = calloc(1, sizeof *p);
	p->id = id;
	p->height = height;
	p->name = strdup(name);
	return p;
}
EXPORT void person_link(struct person *p, struct person *next) { p->next = next; }
EXPORT double person_total(const struct person *p)
{
	double total = 0;
	for (; p; p = p->next)
		total += p->height;
	return total;
}
EXPORT void person_free(struct person *p)
{
	free((void *)p->name);
	free(p);
}

// Failure as C reports it: -1, and the reason through a pointer
EXPORT int32_t divide(int32_t a, int32_t b, int32_t *quotient, int32_t *error)
{
	if (b == 0) {
		*error = EDOM;
		return -1;
	}
	*quotient = a / b;
	*error = 0;
	return 0;
}

static int32_t freed;
static void *freed_context;
EXPORT void count_free(void *bytes, void *context)
{
	freed++;
	freed_context = context;
	free(bytes);
}
EXPORT int32_t free_count(void) { return freed; }
EXPORT void *free_context(void) { return freed_context; }
EXPORT void *allocate(uint32_t count) { return calloc(1, count); }
EXPORT void release(void *p) { free(p); }

// ---- strings

EXPORT int64_t length_of_string(const char *s) { return s ? (int64_t)strlen(s) : -1; }
EXPORT const char *greeting(void) { return "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80"; }
EXPORT const char *latin1(void) { return "caf\xe9"; }
EXPORT const char *no_string(void) { return NULL; }
EXPORT char *join(const char *a, const char *b)
{
	char *joined = malloc(strlen(a) + strlen(b) + 1);
	return strcat(strcpy(joined, a), b);
}
EXPORT void *no_pointer(void) { return NULL; }
EXPORT void *high_pointer(void) { return (void *)(uintptr_t)0x8000000000001234u; }

// ---- callbacks

EXPORT int32_t call_i32(int32_t (*f)(int32_t, int32_t), int32_t a, int32_t b) { return f(a, b); }
EXPORT int32_t call_char(signed char (*f)(signed char), signed char a) { return f(a); }
EXPORT int32_t call_i8(int8_t (*f)(int8_t), int8_t a) { return f(a); }
EXPORT int32_t call_u8(uint8_t (*f)(uint8_t), uint8_t a) { return f(a); }
EXPORT int32_t call_i16(int16_t (*f)(int16_t), int16_t a) { return f(a); }
EXPORT int32_t call_u16(uint16_t (*f)(uint16_t), uint16_t a) { return f(a); }
EXPORT uint32_t call_u32(uint32_t (*f)(uint32_t), uint32_t a) { return f(a); }
EXPORT int64_t call_i64(int64_t (*f)(int64_t), int64_t a) { return f(a); }
EXPORT uint64_t call_u64(uint64_t (*f)(uint64_t), uint64_t a) { return f(a); }
EXPORT double call_f64(double (*f)(double), double a) { return f(a); }
EXPORT float call_f32(float (*f)(float), float a) { return f(a); }
EXPORT int32_t call_bool(bool (*f)(bool), bool a) { return f(a); }
EXPORT void *call_ptr(void *(*f)(void *), void *a) { return f(a); }
EXPORT int64_t call_string(const char *(*f)(const char *), const char *a)
{
	const char *s = f(a);
	return s ? (int64_t)strlen(s) : -1;
}
EXPORT void call_void(void (*f)(void)) { f(); }
EXPORT int32_t call_times(int32_t (*f)(int32_t), int32_t times)
{
	int32_t sum = 0;
	for (int32_t i = 0; i < times; i++)
		sum += f(i);
	return sum;
}
EXPORT double call_mix(double (*f)(int32_t, double, int64_t, float, uint8_t, double, uint64_t, float, int16_t, double))
{
	return f(-1, 2.5, -3, 4.25f, 255, 6.125, 7, 8.5f, -9, 10.75);
}

// Calls from a thread of its own, one each millisecond
static pthread_t thread;
static void (*thread_callback)(int32_t);
static int32_t thread_count;
static void *thread_main(void *unused)
{
	(void)unused;
	for (int32_t i = 0; i < thread_count; i++) {
		usleep(1000);
		thread_callback(i);
	}
	return NULL;
}
EXPORT int32_t thread_start(void (*f)(int32_t), int32_t count)
{
	thread_callback = f;
	thread_count = count;
	return pthread_create(&thread, NULL, thread_main, NULL);
}
EXPORT int32_t thread_join(void) { return pthread_join(thread, NULL); }

// ---- file descriptors

EXPORT int32_t make_pair(int32_t *ends)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		fcntl(ends[i], F_SETFL, O_NONBLOCK);
		fcntl(ends[i], F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
		setsockopt(ends[i], SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
	}
	return 0;
}
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
EXPORT int32_t ring(int32_t fd) { return (int32_t)send(fd, "!", 1, MSG_NOSIGNAL); }
EXPORT int32_t close_fd(int32_t fd) { return close(fd); }
EXPORT int32_t is_open(int32_t fd) { return fcntl(fd, F_GETFD) != -1; }

static int32_t ring_fd, ring_count;
static void *ring_main(void *unused)
{
	(void)unused;
	for (int32_t i = 0; i < ring_count; i++) {
		usleep(1000);
		ring(ring_fd);
	}
	close(ring_fd);
	return NULL;
}
EXPORT int32_t ring_from_thread(int32_t fd, int32_t count)
{
	ring_fd = fd;
	ring_count = count;
	return pthread_create(&thread, NULL, ring_main, NULL);
}
