// SPDX-License-Identifier: MIT
/* test.h - the few lines that every C test needs: CHECK() counts, finish() prints the count and answers main()'s
 * result. */
#ifndef VN_TEST_H
#define VN_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int checks_failed, tests_passed, tests_failed;

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      checks_failed++;                                                              \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
    }                                                                               \
  } while (0)

/* Runs one test function; its name says what is expected. */
#define RUN(test)                                                                   \
  do {                                                                              \
    int before = checks_failed;                                                     \
    test();                                                                         \
    bool passed = checks_failed == before;                                          \
    passed ? tests_passed++ : tests_failed++;                                       \
    printf("  %s %s\n", passed ? "ok  " : "FAIL", #test);                           \
    fflush(stdout);                                                                 \
    if (!passed && getenv("VN_FIRST")) exit(1); /* one is enough for a mutant */    \
  } while (0)

static inline int finish(void) {
  printf("%d passed, %d failed\n", tests_passed, tests_failed);
  return tests_failed != 0;
}

#endif
