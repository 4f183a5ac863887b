// SPDX-License-Identifier: MIT
/* Block.h - our own declarations of the Blocks runtime. Facts: clang's "Block Implementation Specification". */
#ifndef VN_SDK_BLOCK_H
#define VN_SDK_BLOCK_H

#include "fact.h"
#ifdef VN_SDK_CHECK
#include_next <Block.h>
#endif

void *_Block_copy(const void *block);
void _Block_release(const void *block);

#ifndef Block_copy
#define Block_copy(...) ((__typeof(__VA_ARGS__))_Block_copy((const void *)(__VA_ARGS__)))
#define Block_release(...) _Block_release((const void *)(__VA_ARGS__))
#endif

#endif
