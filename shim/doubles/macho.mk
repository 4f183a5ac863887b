# The dylib of macOS run on Linux: a Mach-O loader over the doubles.
#
#   make macho         build/macho/libvmnet_shim.so, which maps the dylib next to it and forwards the ABI to it, and
#                      build/macho/macho_run, which runs a Mach-O executable; beside them what the shim looks for there.
#                      VMNET_DOUBLE=macos=15.6 makes it an older macOS: one build serves all versions.
#   make macho-arm64   build/macho-arm64/: the same for arm64, whose programs qemu-aarch64 runs
#   make test-macho    tests/macho_*_test.c: the x86_64 slice here, the arm64 slice under qemu-aarch64; and
#                      tests/darwin_host*_test.c with the library and vmnet-host as the files that they are
#   make fuzz-macho    files of any content to the loader

MACHO_LOADER := doubles/macho.c doubles/macho_fixups.c
MACHO := $(filter-out doubles/macho_shim.c doubles/macho_run.c doubles/macho_fuzz.c,$(wildcard doubles/macho*.c))
MACHO_OVER := $(filter-out $(wildcard doubles/macho*.c doubles/daemon*.c),$(wildcard doubles/*.c))
MACHO_CORE := core/list.c core/os.c # which the doubles and the tests use themselves
MACHO_TESTS := $(patsubst tests/%.c,%,$(wildcard tests/macho_*_test.c))
MACHO_HOST_TESTS := $(patsubst tests/%.c,%,$(wildcard tests/darwin_host*_test.c))
# Of the data plane those that know nothing but the ABI.
MACHO_PLANE_TESTS := plane_stream_test plane_datagram_test plane_datagram_peers_test plane_descriptor_test
# The others start themselves again, of which an emulator knows nothing.
MACHO_ARM64_TESTS := $(MACHO_TESTS) darwin_host_test plane_stream_test plane_datagram_test
MACHO_FIXTURES := $(patsubst tests/macho_%_fixture.c,%,$(wildcard tests/macho_*_fixture.c))
# Which of the doubles' names a Mach-O file may import.
MACHO_NAMES := ^(vmnet_|dispatch_|xpc_|_xpc_|_Block_|_NSConcrete|CF|sysctlbyname|csops)
MACHO_NM := $(notdir $(firstword $(foreach n,llvm-nm llvm-nm-19 llvm-nm-16 llvm-nm-14 nm,$(shell command -v $(n)))))

MACHO_CC_macho := $(CLANG)
MACHO_CC_macho-arm64 := $(CLANG) --target=aarch64-linux-gnu
MACHO_LD_macho :=
MACHO_LD_macho-arm64 := --ld-path=$(firstword $(foreach l,ld.lld ld.lld-19,$(shell command -v $(l) 2>/dev/null)))
MACHO_EMULATOR := qemu-aarch64 -L /usr/aarch64-linux-gnu
MACHO_ARM64 := $(and $(CLANG),$(shell command -v qemu-aarch64),$(MACHO_LD_macho-arm64:--ld-path=%=%),$(wildcard \
  /usr/aarch64-linux-gnu/lib/crt1.o))
# The fixtures, each with both kinds of fixups: $(call MACHO_FIXED,<variant>)
MACHO_FIXED = $(foreach f,$(MACHO_FIXTURES),$(BUILD)/$(1)/$(f).dylib $(BUILD)/$(1)/$(f)-chained.dylib)
MACHO_BESIDE := libvmnet_shim.dylib $(if $(wildcard host/*.c),vmnet-host)

.PHONY: macho macho-arm64 test-macho fuzz-macho
ifneq ($(and $(CLANG),$(CROSS_VERSION),$(filter Linux,$(SYSTEM))),)
macho: $(addprefix $(BUILD)/macho/,libvmnet_shim.so macho_run $(MACHO_BESIDE) \
  $(filter-out vmnet-host,$(BESIDE_DOUBLES)))
test-macho: $(addprefix $(BUILD)/macho/,$(MACHO_TESTS) $(MACHO_HOST_TESTS) $(MACHO_PLANE_TESTS) macho_run $(MACHO_BESIDE)) \
  $(call MACHO_FIXED,macho)
	@for t in $(MACHO_TESTS) $(MACHO_HOST_TESTS) $(MACHO_PLANE_TESTS); do echo "$$t (x86_64)"; \
	  VN_HOST_NAME=macho_run VN_LONG=$(LONG) $(abspath $(BUILD))/macho/$$t || exit 1; done
	@$(if $(MACHO_ARM64),$(MAKE) BUILD=$(BUILD) run-macho-arm64,\
	  echo "macho (arm64): skipped, it needs qemu-aarch64, lld and libc6-dev-arm64-cross")
	@$(MAKE) BUILD=$(BUILD) LONG=$(LONG) fuzz-macho
else
macho test-macho:
	@echo "$@: skipped, the loader needs Linux, clang and the cross build (lld, llvm)"
endif

macho-arm64: $(addprefix $(BUILD)/macho-arm64/,libvmnet_shim.so macho_run $(MACHO_BESIDE))
.PHONY: run-macho-arm64
run-macho-arm64: $(MACHO_ARM64_TESTS:%=$(BUILD)/macho-arm64/%) $(addprefix $(BUILD)/macho-arm64/,macho_run $(MACHO_BESIDE)) \
  $(call MACHO_FIXED,macho-arm64)
	@for t in $(MACHO_ARM64_TESTS); do echo "$$t (arm64, qemu)"; VN_HOST_NAME=qemu-aarch64 \
	  MACHO_RUN="$(shell command -v qemu-aarch64) -L /usr/aarch64-linux-gnu $(abspath $(BUILD))/macho-arm64/macho_run" \
	  $(MACHO_EMULATOR) $(abspath $(BUILD))/macho-arm64/$$t || exit 1; done

define MACHO_VARIANT
$(1)_TESTS := $$(patsubst %,$$(BUILD)/$(1)/%,$$(MACHO_TESTS) $$(MACHO_HOST_TESTS) $$(MACHO_PLANE_TESTS))
$(BUILD)/$(1)/obj/%.o: %.c
	@mkdir -p $$(@D)
	$$(MACHO_CC_$(1)) $$(CFLAGS) -fblocks -DDOUBLE_MACHO -Idarwin/sdk -Idoubles -c -o $$@ $$<
$(BUILD)/$(1)/obj/%.o: $(BUILD)/$(1)/%.c
	@mkdir -p $$(@D)
	$$(MACHO_CC_$(1)) $$(CFLAGS) -Idoubles -c -o $$@ $$<
$(BUILD)/$(1)/names.c: $(MACHO_OVER:%.c=$(BUILD)/$(1)/obj/%.o) doubles/macho.mk
	@mkdir -p $$(@D)
	$(MACHO_NM) -g $$(filter %.o,$$^) | LC_ALL=C sort -u -k 3 | \
	  awk '$$$$2 ~ /[TDBRVW]/ && $$$$3 ~ /$(MACHO_NAMES)/ && !seen[$$$$3]++ {print $$$$3}' | \
	  awk 'BEGIN {print "/* made by macho.mk */\n#include \"macho_libc.h\""} \
	    {d = d "extern char symbol_" NR "[] __asm__(\"" $$$$1 "\");\n"; t = t "    {\"_" $$$$1 "\", symbol_" NR "},\n"} \
	    END {print d "const struct macho_name macho_double_names[] = {\n" t "    {0, 0}};"}' >$$@
$(BUILD)/$(1)/libvmnet_shim.so: $(BUILD)/doubles/exports.map $(BUILD)/$(1)/obj/doubles/macho_shim.o
$(BUILD)/$(1)/macho_run: $(BUILD)/$(1)/obj/doubles/macho_run.o
$(BUILD)/$(1)/libvmnet_shim.so $(BUILD)/$(1)/macho_run $$($(1)_TESTS): $(BUILD)/$(1)/obj/names.o \
  $(MACHO:%.c=$(BUILD)/$(1)/obj/%.o) $(MACHO_OVER:%.c=$(BUILD)/$(1)/obj/%.o) $(MACHO_CORE:%.c=$(BUILD)/$(1)/obj/%.o)
$(BUILD)/$(1)/libvmnet_shim.so:
	$$(MACHO_CC_$(1)) $$(CFLAGS) $$(LDFLAGS) $$(MACHO_LD_$(1)) -shared -Wl,-z,nodelete -Wl,-z,defs \
	  -Wl,--version-script=$$< -o $$@ $$(filter %.o,$$^) $$(LDLIBS)
$(BUILD)/$(1)/macho_run:
	$$(MACHO_CC_$(1)) $$(CFLAGS) $$(LDFLAGS) $$(MACHO_LD_$(1)) -o $$@ $$(filter %.o,$$^) $$(LDLIBS)
$$($(1)_TESTS): $(BUILD)/$(1)/%: $(BUILD)/$(1)/obj/tests/%.o $(BUILD)/$(1)/obj/doubles/macho_shim.o
	$$(MACHO_CC_$(1)) $$(CFLAGS) $$(LDFLAGS) $$(MACHO_LD_$(1)) -o $$@ $$(filter %.o,$$^) $$(LDLIBS)
$(MACHO_BESIDE:%=$(BUILD)/$(1)/%): $(BUILD)/$(1)/%: $(BUILD)/darwin/%
	@mkdir -p $$(@D)
	cp -f $$< $$@
endef
$(foreach variant,macho macho-arm64,$(eval $(call MACHO_VARIANT,$(variant))))

$(BUILD)/macho/vmnet-gateway $(BUILD)/macho/vmnet-double-daemon: $(BUILD)/macho/%: $(BUILD)/doubles/%
	@mkdir -p $(@D)
	cp -f $< $@

# Small dylibs for the loader's own test, each with both kinds of fixups: tests/macho_<name>_fixture.c.
MACHO_ARCH_macho := x86_64
MACHO_ARCH_macho-arm64 := arm64
define MACHO_FIXTURE
$(BUILD)/$(1)/%.fixture.o: tests/macho_%_fixture.c $(LIBC_HEADERS:%=$(CROSS)/include/%)
	@mkdir -p $$(@D)
	$$(CROSS_CLANG) -target $(MACHO_ARCH_$(1))-apple-macos$(MACOS) $$(CROSS_FLAGS) -c -o $$@ $$<
$(BUILD)/$(1)/%.dylib: $(BUILD)/$(1)/%.fixture.o $(STUBS)
	$$(CROSS_LD) -arch $(MACHO_ARCH_$(1)) -platform_version macos $(MACOS) $(MACOS) -dylib -adhoc_codesign -install_name \
	  @rpath/$$(@F) -o $$@ $$(filter %.o,$$^) $(STUBS)
$(BUILD)/$(1)/%-chained.dylib: $(BUILD)/$(1)/%.fixture.o $(STUBS)
	$$(CROSS_LD) -arch $(MACHO_ARCH_$(1)) -platform_version macos $(MACOS) $(MACOS) -dylib -adhoc_codesign -fixup_chains \
	  -install_name @rpath/$$(@F) -o $$@ $$(filter %.o,$$^) $(STUBS)
endef
$(foreach variant,macho macho-arm64,$(eval $(call MACHO_FIXTURE,$(variant))))

# The seeds are real files, so that mutations begin at something that works. As in tests/fuzz.mk, what crashes stays.
MACHO_FUZZ := $(BUILD)/fuzz/macho
fuzz-macho: $(BUILD)/fuzz/macho_fuzz $(call MACHO_FIXED,macho)
	@mkdir -p $(MACHO_FUZZ)/corpus
	@for f in $(filter %.dylib,$^); do { printf '\0'; cat $$f; } >$(MACHO_FUZZ)/corpus/$$(basename $$f); done
	@if $(abspath $(BUILD))/fuzz/macho_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 -verbosity=0 \
	  -print_final_stats=1 -artifact_prefix=$(MACHO_FUZZ)/ $(MACHO_FUZZ)/corpus 2>$(MACHO_FUZZ)/log; then \
	  echo "  ok   macho_fuzz ($$(sed -n 's/^stat::number_of_executed_units: *//p' $(MACHO_FUZZ)/log) inputs)"; \
	  echo "1 passed, 0 failed"; \
	else \
	  echo "  FAIL macho_fuzz"; tail -40 $(MACHO_FUZZ)/log; echo "0 passed, 1 failed"; exit 1; \
	fi
$(BUILD)/fuzz/macho_fuzz: doubles/macho_fuzz.c $(MACHO_LOADER) $(wildcard doubles/macho*.h)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_FLAGS) -std=gnu11 -I. -Icore -Idoubles -o $@ $(filter %.c,$^)
