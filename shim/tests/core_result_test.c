// SPDX-License-Identifier: MIT
/* Results that could not be written to their end: what the operation made is nobody's then, and must end. */
#include "core_fake.h"
#include "test.h"

static void test_what_could_not_be_told_is_undone(void) {
  vn_abi_version();
  int32_t context = vn_open(), handle = -1;
  /* "status" takes 22 bytes and "handle" as many: room for both, for one, for none. */
  CHECK(fake_finish(context, fake_call(context, VN_OP_INTERFACE_START, fake_options("room", 44, NULL), 0), &handle) == -1);
  CHECK(fake_alive() == 1); /* complete, but too long for the caller's buffer: the operation stays with what it made */
  for (int room = 43; room > 0; room -= 21) {
    handle = -1;
    int32_t operation = fake_call(context, VN_OP_INTERFACE_START, fake_options("room", room, NULL), 0);
    CHECK(fake_finish(context, operation, &handle) == VN_NO_MEMORY && handle == 0);
    CHECK(fake_alive() == 1);
  }
  CHECK(vn_close(context) == VN_OK && fake_alive() == 0);
}

int main(void) {
  RUN(test_what_could_not_be_told_is_undone);
  return finish();
}
