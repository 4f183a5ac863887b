// SPDX-License-Identifier: MIT
/* darwin_probe_test.c - what is found out about a Mac without starting anything, and what vmnet's answers are taken
 * for. */
#include "darwin/system.h"
#include "darwin_control.h"

static struct client *c;

static bool probe(void) { return client_call(c, c->context, VN_OP_PROBE, NULL) == VN_OK; }

static void a_mac_is_described(void) {
  double_set("macos", "26.1");
  CHECK(probe() && !strcmp(client_text(c, "backend"), "vmnet") && !strcmp(client_text(c, "macos"), "26.1"));
  CHECK(client_number(c, "uid") == 0 && client_number(c, "root") == 1 && client_number(c, "entitled") == 0);
  CHECK(client_number(c, "networks") == 1 && client_number(c, "host") == 0 && client_number(c, "quarantined") == 0);
  CHECK(client_text(c, "libraryPath")[0] == '/' && vn_mac_version() == 2601);
  double_set("quarantined", "1");
  CHECK(probe() && client_number(c, "quarantined") == 1 && !vn_mac_is_quarantined("/nonexistent"));
  double_set("quarantined", "0");
}

static void who_may_use_vmnet_is_known(void) {
  static const struct {
    const char *macos, *uid, *entitled;
    bool host;
  } cases[] = {{"26.0", "0", "0", false}, {"26.0", "501", "0", true}, {"26.0", "501", "1", false}, {"27.1", "501", "0", true}};
  for (int i = 0; i < 4; i++) {
    double_set("macos", cases[i].macos);
    double_set("uid", cases[i].uid);
    double_set("entitled", cases[i].entitled);
    CHECK(probe() && client_number(c, "host") == cases[i].host && vn_mac_needs_host() == cases[i].host);
    CHECK(client_number(c, "uid") == (uint64_t)atoi(cases[i].uid) && client_number(c, "root") == (cases[i].uid[0] == '0'));
    CHECK(client_number(c, "entitled") == (uint64_t)atoi(cases[i].entitled));
  }
  double_set("uid", "0");
  double_set("entitled", "0");
}

static void versions_are_read(void) {
  static const struct {
    const char *text;
    uint32_t number;
  } cases[] = {{"12.7.6", 1207}, {"15.4", 1504}, {"26", 2600}, {"26.0.1", 2600}, {"16.0", 2600}, {"10.15.7", 1015}};
  for (int i = 0; i < 6; i++) {
    double_set("macos", cases[i].text);
    CHECK(vn_mac_version() == cases[i].number);
  }
  double_set("macos", "26.0");
}

static void interfaces_to_bridge_with_are_listed(void) {
  struct vn_reader reader;
  struct vn_entry entry;
  int count = 0;
  char name[16];
  CHECK(client_call(c, c->context, VN_OP_SHARED_INTERFACES, NULL) == VN_OK);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_TEXT, "interface") && vn_entry_text(&entry, name, sizeof name)) count += name[0] == 'e';
  CHECK(count > 0 && nothing_left(c));
}

/* What is made of an answer of vmnet's: status, and a word of the message. */
static bool fails(vmnet_return_t answer, uint32_t status, const char *word, const char *needs) {
  struct vn_job job = {.op = VN_OP_NETWORK_CREATE};
  char message[400] = "", needed[200] = "";
  bool good = vn_mac_fail(&job, answer, "It did not work") == status;
  vn_list_text(job.result.data, job.result.length, "message", message, sizeof message);
  vn_list_text(job.result.data, job.result.length, "needs", needed, sizeof needed);
  vn_writer_free(&job.result);
  good = good && strstr(message, "It did not work") == message && strstr(message, word) && !strcmp(needed, needs);
  if (!good) fprintf(stderr, "%s | %s\n", message, needed);
  return good;
}

static void answers_say_what_they_mean_here(void) {
  static const char both[] = "root, or com.apple.security.virtualization in the program's signature";
  CHECK(fails(1001, 1001, "subnet", "") && fails(1002, 1002, "sandbox", "") && fails(1003, 1003, "options", ""));
  CHECK(fails(1009, 1009, "Internet Sharing", "") && fails(1010, 1010, "authorized", "") && fails(4711, 4711, "refused", ""));
  CHECK(fails(0, 1001, "refused", "") && fails(1000, 1001, "refused", "")); /* NULL, and yet "success" */
  double_set("uid", "501");
  CHECK(fails(1001, 1001, "signature", both) && fails(1002, 1002, "signature", both) && fails(1010, 1010, "signature", both));
  CHECK(fails(1003, 1003, "options", "") && fails(1009, 1009, "Internet Sharing", ""));
  double_set("macos", "15.4");
  CHECK(fails(1001, 1001, "only root", "root") && fails(1002, 1002, "only root", "root"));
  double_set("entitled", "1"); /* of no use before macOS 26 */
  CHECK(fails(1001, 1001, "only root", "root"));
  double_set("macos", "26.0");
  CHECK(fails(1002, 1002, "sandbox", ""));
  double_set("entitled", "0");
  double_set("uid", "0");
}

static void an_entitlement_is_enough_for_a_network(void) {
  double_set("uid", "501");
  double_set("entitled", "1");
  int32_t network = client_network(c, 1001, true, NULL), nic = client_start(c, network, NULL);
  CHECK(nic > 0 && client_stop(c, nic) == VN_OK && client_stop(c, network) == VN_OK);
  double_set("entitled", "0");
  double_set("uid", "0");
  CHECK(nothing_left(c));
}

int main(void) {
  double_set("wire", "hub");
  c = client_open();
  RUN(a_mac_is_described);
  RUN(who_may_use_vmnet_is_known);
  RUN(versions_are_read);
  RUN(interfaces_to_bridge_with_are_listed);
  RUN(answers_say_what_they_mean_here);
  RUN(an_entitlement_is_enough_for_a_network);
  client_close(c);
  return finish();
}
