# C tests. Every tests/<room>_<what>_test.c is a program of its own that ends with a line "N passed, N failed" and exits 1
# when one failed. tests/core_* link core/ and a backend of their own (core_fake.c), tests/embedded_* and plane_* the whole shim,
# tests/gateway_* the gateway without its main(), tests/darwin_* and tests/doubles_* what doubles/doubles.mk says.
# ROOM=core runs one room's alone.

LONG ?=
ROOM ?= core embedded plane gateway darwin doubles
# The doubles need Blocks, which gcc does not have, and would be in the way of the real thing.
BLOCKS := $(if $(filter Linux,$(SYSTEM)),$(findstring clang,$(notdir $(CC))))
SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
SANITIZE_tsan := -fsanitize=thread -O1
SANITIZE_plain :=

tests_of = $(patsubst tests/%.c,%,$(wildcard $(patsubst %,tests/%_*_test.c,$(filter $(1),$(ROOM)))))
CORE_TESTS := $(call tests_of,core)
EMBEDDED_TESTS := $(call tests_of,embedded plane)
GATEWAY_TESTS := $(call tests_of,gateway)
# In the folder of what they start: the daemon of the doubles, the gateway, vmnet-host.
DARWIN_TESTS := $(if $(BLOCKS),$(addprefix doubles/,$(call tests_of,darwin)))
DOUBLES_TESTS := $(if $(BLOCKS),$(addprefix doubles/,$(call tests_of,doubles)))
TESTS := $(CORE_TESTS) $(EMBEDDED_TESTS) $(GATEWAY_TESTS) $(DOUBLES_TESTS) $(DARWIN_TESTS)

.PHONY: test test-plain test-asan test-tsan test-model test-fuzz run-tests
test: test-plain test-asan test-tsan test-model test-fuzz

test-plain test-asan test-tsan: test-%:
	$(MAKE) BUILD=$(BUILD)/$* LONG=$(LONG) ROOM='$(ROOM)' CFLAGS='-O2 -g $(SANITIZE_$*)' run-tests

# The gateway that the tests start is the one of the same build.
run-tests: $(if $(filter-out core,$(ROOM)),$(BUILD)/vmnet-gateway) $(TESTS:%=$(BUILD)/%) \
  $(if $(DARWIN_TESTS)$(DOUBLES_TESTS),beside-doubles)
	@status=0; for t in $(TESTS); do echo "$$t ($(notdir $(BUILD)))"; \
	  VN_GATEWAY=$(abspath $(BUILD))/vmnet-gateway VN_LONG=$(LONG) $(abspath $(BUILD))/$$t || status=1; done; exit $$status

$(CORE_TESTS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/tests/%.o $(BUILD)/tests/core_fake.o $(CORE:%.c=$(BUILD)/%.o)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(EMBEDDED_TESTS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/tests/%.o $(SHIM_OBJECTS)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(GATEWAY_TESTS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/tests/%.o $(filter-out $(BUILD)/gateway/main.o,$(GATEWAY_OBJECTS))
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-drain
bench-drain: $(BUILD)/tests/core_drain_bench
	$(abspath $<)

$(BUILD)/tests/core_drain_bench: $(BUILD)/tests/core_drain_bench.o $(BUILD)/tests/core_fake.o $(CORE:%.c=$(BUILD)/%.o)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-switch
bench-switch: $(BUILD)/tests/plane_switch_bench
	$(abspath $<)

$(BUILD)/tests/plane_switch_bench: $(BUILD)/tests/plane_switch_bench.o $(SHIM_OBJECTS)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

include $(wildcard tests/model.mk tests/fuzz.mk)
