# The library of macOS built for Linux over the doubles.
#
#   make doubles       build/doubles/libvmnet_shim.so: core, darwin, the switch of embedded and the doubles in one file
#                      that exports the ABI and the doubles' controls; beside it the double's daemon, the gateway that
#                      the daemon starts, and vmnet-host. Deno and Bun load it by VMNET_SHIM_PATH.
#   make doubles-old   build/doubles-old/libvmnet_shim.so: the same without the symbols of macOS 26
#   make test-darwin   tests/doubles_*_test.c (the doubles alone) and tests/darwin_*_test.c (core, darwin, switch and
#                      doubles): plain, AddressSanitizer with UBSan, ThreadSanitizer
#
# A tests/darwin_*.c that is neither _test.c nor _bench.c is linked to all of the darwin tests.

DOUBLED := $(BUILD)/doubles/obj
DOUBLED_OLD := $(BUILD)/doubles-old/obj
DOUBLES := $(filter-out $(wildcard doubles/macho*.c doubles/daemon*.c),$(wildcard doubles/*.c))
DOUBLE_DAEMON := $(wildcard doubles/daemon*.c)
HOST := $(wildcard host/*.c)
DARWIN_FIXTURES := $(filter-out %_test.c %_bench.c,$(wildcard tests/darwin_*.c))
# The doubles' system.c names files of its own; sdk_check.c compares with the headers of a real Mac.
OVER_DOUBLES := $(filter-out darwin/paths.c darwin/sdk_check.c,$(DARWIN))
DOUBLE_FLAGS := -fblocks -Idarwin/sdk -Idoubles

PORTABLE_OBJECTS := $(CORE:%.c=$(BUILD)/%.o) $(SWITCHED:%.c=$(BUILD)/%.o)
DOUBLED_OBJECTS := $(PORTABLE_OBJECTS) $(OVER_DOUBLES:%.c=$(DOUBLED)/%.o) $(DOUBLES:%.c=$(DOUBLED)/%.o)
BESIDE_DOUBLES := vmnet-gateway $(if $(DOUBLE_DAEMON),vmnet-double-daemon) $(if $(HOST),vmnet-host)

.PHONY: doubles doubles-old test-darwin beside-doubles
ifeq ($(BLOCKS),)
doubles doubles-old test-darwin beside-doubles:
	@echo "$@: skipped, the doubles need Linux and clang, which knows Blocks"
else
doubles: $(BUILD)/doubles/libvmnet_shim.so beside-doubles
doubles-old: $(BUILD)/doubles-old/libvmnet_shim.so $(BESIDE_DOUBLES:%=$(BUILD)/doubles-old/%)
beside-doubles: $(BESIDE_DOUBLES:%=$(BUILD)/doubles/%)
test-darwin:
	$(MAKE) ROOM='doubles darwin' test-plain
	$(MAKE) ROOM='doubles darwin' test-asan
	$(MAKE) ROOM='doubles darwin' test-tsan
endif

$(DOUBLED)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DOUBLE_FLAGS) -c -o $@ $<

$(DOUBLED_OLD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(DOUBLE_FLAGS) -DDOUBLE_OLD -c -o $@ $<

# One list of exports: the ABI's, with the doubles' controls.
$(BUILD)/doubles/exports.map: vmnet_shim.map
	@mkdir -p $(@D)
	sed 's/global:/global: double_*;/' $< >$@

LINK_DOUBLED = $(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-z,nodelete -Wl,-z,defs -Wl,--version-script=$< -o $@ \
  $(filter %.o,$^) $(LDLIBS)
$(BUILD)/doubles/libvmnet_shim.so: $(BUILD)/doubles/exports.map $(DOUBLED_OBJECTS)
	$(LINK_DOUBLED)
$(BUILD)/doubles-old/libvmnet_shim.so: $(BUILD)/doubles/exports.map $(PORTABLE_OBJECTS) \
  $(OVER_DOUBLES:%.c=$(DOUBLED)/%.o) $(DOUBLES:%.c=$(DOUBLED_OLD)/%.o)
	@mkdir -p $(@D)
	$(LINK_DOUBLED)

# What the library looks for in its own folder.
$(BUILD)/doubles/vmnet-gateway: $(BUILD)/vmnet-gateway
	@mkdir -p $(@D)
	cp $< $@
$(BUILD)/doubles/vmnet-double-daemon: $(DOUBLE_DAEMON:%.c=$(DOUBLED)/%.o) $(SHIM_OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/doubles/vmnet-host: $(HOST:%.c=$(DOUBLED)/%.o) $(DOUBLED_OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BESIDE_DOUBLES:%=$(BUILD)/doubles-old/%): $(BUILD)/doubles-old/%: $(BUILD)/doubles/%
	@mkdir -p $(@D)
	cp $< $@

# tests/doubles_vmnet*_test.c have the double of vmnet as well, the others only what it stands on.
DOUBLES_BASE := $(filter-out doubles/vmnet%,$(DOUBLES))
$(DOUBLES_TESTS:%=$(BUILD)/%): $(BUILD)/core/list.o $(BUILD)/core/os.o $(DOUBLES_BASE:%.c=$(DOUBLED)/%.o)
$(filter $(BUILD)/doubles/doubles_vmnet%,$(DOUBLES_TESTS:%=$(BUILD)/%)): \
  $(patsubst %.c,$(DOUBLED)/%.o,$(filter doubles/vmnet%,$(DOUBLES)))
$(DOUBLES_TESTS:%=$(BUILD)/%): $(BUILD)/doubles/%: $(DOUBLED)/tests/%.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

DARWIN_NEW := $(filter-out doubles/darwin_old_test,$(DARWIN_TESTS))
$(DARWIN_NEW:%=$(BUILD)/%): $(BUILD)/doubles/%: $(DOUBLED)/tests/%.o $(DARWIN_FIXTURES:%.c=$(DOUBLED)/%.o) $(DOUBLED_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

# Over the double that has nothing of macOS 26.
$(BUILD)/doubles/darwin_old_test: $(DOUBLED)/tests/darwin_old_test.o $(PORTABLE_OBJECTS) \
  $(OVER_DOUBLES:%.c=$(DOUBLED)/%.o) $(DOUBLES:%.c=$(DOUBLED_OLD)/%.o)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
