// SPDX-License-Identifier: MIT
/*
 * blocks.c - the Blocks runtime: what clang -fblocks calls. Facts: clang's "Block Implementation Specification".
 *
 * Theory of operation. A block begins on the stack of the function that makes it, or is constant when it captures
 * nothing. Copying moves it to the heap, where it is counted; its own helper, written by the compiler, then copies
 * what it captured: other blocks, and __block variables. Such a variable lives in a cell that begins on the stack too
 * and moves to the heap with the first block that is copied; the cell's forwarding pointer leads everybody to where
 * it is now. The function that declared it holds a reference of its own, which it drops at its end.
 *
 * A copy is preceded by a header of ours with its count. When the count ends, the block's function is replaced by one
 * that dies, and the memory is kept for a while: calling a released block, copying it or releasing it once more is
 * found out. Releasing a block on the stack does nothing on a Mac, but nobody who knows what he does does it, so it
 * dies as well.
 */
#include <Block.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"

#define HEAP_ALIVE 0xb10c4eadu
#define HEAP_DEAD 0xb10cdeadu

/* Of the specification. */
enum {
  NEEDS_FREE = 1 << 24,
  HAS_HELPERS = 1 << 25,
  IS_GLOBAL = 1 << 28,
  FIELD_IS_OBJECT = 3,
  FIELD_IS_BLOCK = 7,
  FIELD_IS_CELL = 8,
  FIELD_KIND = 15,
  CALLER_IS_CELL = 128, /* the captured thing is inside a __block variable, which does not own it */
};

struct descriptor {
  unsigned long reserved, size;
  void (*copy)(void *to, const void *from);
  void (*dispose)(const void *block);
};

struct block {
  void *isa;
  int flags, reserved;
  void (*invoke)(void *, ...);
  const struct descriptor *descriptor;
};

struct cell {
  void *isa;
  struct cell *forwarding;
  int flags, size;
  void (*keep)(struct cell *to, struct cell *from);
  void (*destroy)(struct cell *cell);
};

struct header {
  atomic_uint magic;
  atomic_int refs;
  uint64_t pad; /* keeps what follows aligned as malloc() would */
};

/* The compiler refers to these by name; only their addresses matter. */
void *_NSConcreteStackBlock[32], *_NSConcreteGlobalBlock[32], *_NSConcreteMallocBlock[32];
void _Block_object_assign(void *to, const void *object, int flags);
void _Block_object_dispose(const void *object, int flags);

static void *to_heap(const void *from, size_t size, int refs) {
  struct header *header = malloc(sizeof *header + size);
  if (!header) double_die("no memory");
  atomic_init(&header->magic, HEAP_ALIVE);
  atomic_init(&header->refs, refs);
  double_add("blocks", 1);
  return memcpy(header + 1, from, size);
}

static struct header *header_of(const void *thing, const char *caller) {
  struct header *header = (struct header *)thing - 1;
  if (atomic_load(&header->magic) != HEAP_ALIVE) double_die("%s: a block or __block variable after its end", caller);
  return header;
}

static void retain(const void *thing, const char *caller) {
  if (atomic_fetch_add(&header_of(thing, caller)->refs, 1) <= 0) double_die("%s: a block that is about to end", caller);
}

/* True for the last reference. */
static bool release(const void *thing, const char *caller) {
  int before = atomic_fetch_sub(&header_of(thing, caller)->refs, 1);
  if (before <= 0) double_die("%s: once too often", caller);
  return before == 1;
}

static void end(const void *thing) {
  struct header *header = (struct header *)thing - 1;
  atomic_store(&header->magic, HEAP_DEAD);
  double_bury(header);
  double_add("blocks", -1);
}

static void called_after_its_end(void *block, ...) {
  (void)block;
  double_die("a block was called after its last release");
}

void *_Block_copy(const void *original) {
  const struct block *block = original;
  if (!block || block->flags & IS_GLOBAL) return (void *)original;
  if (block->isa == _NSConcreteMallocBlock) {
    retain(block, "Block_copy");
    return (void *)original;
  }
  if (block->isa != _NSConcreteStackBlock) double_die("Block_copy: this is no block");
  struct block *copy = to_heap(block, block->descriptor->size, 1);
  copy->isa = _NSConcreteMallocBlock;
  copy->flags |= NEEDS_FREE;
  if (copy->flags & HAS_HELPERS) copy->descriptor->copy(copy, block);
  return copy;
}

void _Block_release(const void *original) {
  struct block *block = (struct block *)original;
  if (!block || block->flags & IS_GLOBAL) return;
  if (block->isa != _NSConcreteMallocBlock) double_die("Block_release: this block was never copied");
  if (!release(block, "Block_release")) return;
  if (block->flags & HAS_HELPERS) block->descriptor->dispose(block);
  block->invoke = called_after_its_end;
  end(block);
}

static struct cell *cell_to_heap(struct cell *cell) {
  cell = cell->forwarding;
  if (cell->flags & NEEDS_FREE) {
    retain(cell, "Block_copy");
    return cell;
  }
  struct cell *copy = to_heap(cell, (size_t)cell->size, 2); /* the block's and the declaring function's */
  copy->isa = NULL;
  copy->flags |= NEEDS_FREE;
  copy->forwarding = cell->forwarding = copy;
  if (copy->flags & HAS_HELPERS) copy->keep(copy, cell);
  return copy;
}

/* What a helper of the compiler calls for each captured thing that has to be kept. */
void _Block_object_assign(void *to, const void *object, int flags) {
  const void *kept = object;
  switch (flags & FIELD_KIND) {
    case FIELD_IS_BLOCK: kept = flags & CALLER_IS_CELL ? object : _Block_copy(object); break;
    case FIELD_IS_CELL: kept = cell_to_heap((struct cell *)object); break;
    case FIELD_IS_OBJECT:
      if (flags & CALLER_IS_CELL) break;
      /* fall through */
    default: double_die("a block captures an object of kind %d, which is not doubled", flags);
  }
  memcpy(to, &kept, sizeof kept);
}

void _Block_object_dispose(const void *object, int flags) {
  switch (flags & FIELD_KIND) {
    case FIELD_IS_BLOCK:
      if (!(flags & CALLER_IS_CELL)) _Block_release(object);
      break;
    case FIELD_IS_CELL: {
      struct cell *cell = ((struct cell *)object)->forwarding;
      if (!(cell->flags & NEEDS_FREE)) break; /* it never left the stack */
      if (!release(cell, "the end of a __block variable")) break;
      if (cell->flags & HAS_HELPERS) cell->destroy(cell);
      end(cell);
      break;
    }
    default: break;
  }
}
