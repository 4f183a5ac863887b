// SPDX-License-Identifier: MIT
/* doubles_blocks_test.c - the double's Blocks runtime: what is captured, copied and ended, and what kills. */
#include <Block.h>
#include <pthread.h>

#include "double.h"
#include "doubles_death.h"

typedef int (^number_block)(void);

static number_block number(int value) { return Block_copy(^{ return value; }); }

static number_block dead_block(void) {
  number_block block = number(1);
  Block_release(block);
  return block;
}

static void broken_contracts_kill(void) {
  DIES("after its last release", dead_block()(););
  DIES("after its end", Block_release(dead_block()););
  DIES("after its end", (void)Block_copy(dead_block()););
  DIES("never copied", int one = (int)getpid(); number_block block = ^{ return one; }; Block_release(block););
  DIES("no block", long words[8] = {0}; _Block_copy(words););
  DIES("after its last release", number_block inner = number(2); number_block outer = Block_copy(^{ return inner(); });
       Block_release(inner); Block_release(outer); inner(););
}

static void constant_blocks_are_not_counted(void) {
  number_block block = ^{ return 7; }, copy = Block_copy(block);
  CHECK(copy == block && copy() == 7 && !double_count("blocks"));
  Block_release(copy);
  Block_release(copy);
  CHECK(!_Block_copy(NULL));
  _Block_release(NULL);
}

static void a_copy_lives_until_its_last_release(void) {
  number_block block = number(42);
  CHECK(double_count("blocks") == 1 && Block_copy(block) == block);
  Block_release(block);
  CHECK(block() == 42 && double_count("blocks") == 1);
  Block_release(block);
  CHECK(!double_count("blocks"));
}

static void captured_blocks_are_kept(void) {
  number_block three = number(3);
  int (^twice)(void) = Block_copy(^{
    int (^inner)(void) = ^{ return 2 * three(); };
    number_block copy = Block_copy(inner);
    int result = copy();
    Block_release(copy);
    return result;
  });
  Block_release(three);
  CHECK(double_count("blocks") == 2 && twice() == 6);
  Block_release(twice);
  CHECK(!double_count("blocks"));
}

static void variables_move_to_the_heap_with_the_first_copy(void) {
  {
    __block int count = 1;
    __block struct {
      long words[20];
    } wide = {.words = {[19] = 5}};
    void (^add)(void) = ^{ count++, wide.words[19]++; };
    add();
    CHECK(count == 2 && !double_count("blocks"));
    void (^first)(void) = Block_copy(add), (^second)(void) = Block_copy(add);
    CHECK(double_count("blocks") == 4); /* two copies, two variables */
    first(), second(), add();
    CHECK(count == 5 && wide.words[19] == 9);
    Block_release(first);
    second();
    CHECK(count == 6);
    Block_release(second);
    CHECK(count == 6 && double_count("blocks") == 2); /* the frame's */
  }
  CHECK(!double_count("blocks"));
}

static number_block counter(void) {
  __block int count = 0;
  return Block_copy(^{ return ++count; });
}

static void variables_outlive_their_function(void) {
  number_block one = counter(), other = counter();
  CHECK(one() == 1 && one() == 2 && other() == 1 && double_count("blocks") == 4);
  Block_release(one);
  CHECK(other() == 2);
  Block_release(other);
  CHECK(!double_count("blocks"));
}

static void a_variable_does_not_own_the_block_in_it(void) {
  {
    __block number_block held = number(9);
    number_block reader = Block_copy(^{ return held(); }), value = held;
    CHECK(double_count("blocks") == 3 && reader() == 9);
    held = NULL;
    Block_release(reader);
    CHECK(value() == 9);
    Block_release(value);
    CHECK(double_count("blocks") == 1); /* the variable */
  }
  CHECK(!double_count("blocks"));
}

static void *copies(void *block) {
  for (int i = 0; i < 10000; i++) Block_release(Block_copy((number_block)block));
  return block;
}

static void several_threads_share_a_block(void) {
  number_block block = counter();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, copies, (void *)block);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK(block() == 1);
  Block_release(block);
  CHECK(!double_count("blocks"));
}

int main(void) {
  RUN(broken_contracts_kill);
  RUN(constant_blocks_are_not_counted);
  RUN(a_copy_lives_until_its_last_release);
  RUN(captured_blocks_are_kept);
  RUN(variables_move_to_the_heap_with_the_first_copy);
  RUN(variables_outlive_their_function);
  RUN(a_variable_does_not_own_the_block_in_it);
  RUN(several_threads_share_a_block);
  return finish();
}
