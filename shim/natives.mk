# The libraries and programs for Linux that the package brings along: make natives -> build/natives/<platform>/
#
#   linux-x64 linux-arm64   need no symbol newer than GLIBC_2.28: they are linked with stand-ins for that glibc, which
#                           scripts/libc_stub.mjs makes of the one at hand
#   make test-natives       C tests of networks with linux-x64's library, and with linux-arm64's under qemu-aarch64
#
# What cannot be built here is said and left out. Those of macOS come from `make darwin`.

NATIVES := $(BUILD)/natives
# No unwinding, no symbols, and only what is used: nobody debugs these, they are built again with -g for that.
NATIVES_FLAGS := -O2 -g0 -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -fvisibility=hidden -fPIC -pthread \
  -fno-asynchronous-unwind-tables -fno-unwind-tables -ffunction-sections -fdata-sections -I. -Icore -MMD -MP
NATIVES_LDFLAGS := --ld-path=$(firstword $(foreach l,ld.lld ld.lld-19,$(shell command -v $(l) 2>/dev/null))) \
  -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,--hash-style=gnu -Wl,--build-id=none -Wl,--as-needed -s

NATIVES_TARGET_linux-x64 := x86_64-linux-gnu
NATIVES_LIBC_linux-x64 := $(firstword $(wildcard /lib/x86_64-linux-gnu/libc.so.6 /usr/lib64/libc.so.6))
NATIVES_NONSHARED_linux-x64 := $(firstword $(wildcard /usr/lib/x86_64-linux-gnu/libc_nonshared.a /usr/lib64/libc_nonshared.a))
NATIVES_TARGET_linux-arm64 := aarch64-linux-gnu
NATIVES_FLAGS_linux-arm64 := -mno-outline-atomics
NATIVES_LIBC_linux-arm64 := $(wildcard /usr/aarch64-linux-gnu/lib/libc.so.6)
NATIVES_NONSHARED_linux-arm64 := $(wildcard /usr/aarch64-linux-gnu/lib/libc_nonshared.a)
NATIVES_GLIBC := $(if $(and $(CLANG),$(filter-out --ld-path=,$(firstword $(NATIVES_LDFLAGS))),$(filter Linux,$(SYSTEM)),\
  $(wildcard /usr/include/slirp/libslirp.h)),$(foreach p,linux-x64 linux-arm64,$(if $(and $(NATIVES_LIBC_$(p)),\
  $(NATIVES_NONSHARED_$(p))),$(p))))

NATIVES_SHIM := $(CORE) $(EMBEDDED) $(PLANE)
NATIVES_GATEWAY := $(GATEWAY) core/list.c core/os.c

.PHONY: natives test-natives
natives: $(foreach p,$(NATIVES_GLIBC),$(NATIVES)/$(p)/libvmnet_shim.so $(NATIVES)/$(p)/vmnet-gateway)
	@$(foreach p,$(filter-out $(NATIVES_GLIBC),linux-x64 linux-arm64),echo "natives: $(p) left out, it needs clang, lld, \
	  libslirp-dev and glibc's development files for it";)

# Headers that belong to no C library, apart from those that do.
$(NATIVES)/include: 
	@mkdir -p $@
	ln -sfn /usr/include/slirp $@/slirp

define NATIVE
$(NATIVES)/$(1)/obj/%.o: %.c | $(NATIVES)/include
	@mkdir -p $$(@D)
	$$(CLANG) --target=$$(NATIVES_TARGET_$(1)) $$(NATIVES_FLAGS) $$(NATIVES_FLAGS_$(1)) -idirafter $(NATIVES)/include -c -o $$@ $$<
$(NATIVES)/$(1)/stub/made: ../scripts/libc_stub.mjs $$(NATIVES_LIBC_$(1))
	node $$^ $$(@D)
	for l in libc.so.6 libpthread.so.0 libdl.so.2; do $$(CLANG) --target=$$(NATIVES_TARGET_$(1)) -nostdlib -shared \
	  $$(firstword $$(NATIVES_LDFLAGS)) -Wl,-soname=$$$$l -Wl,--version-script=$$(@D)/$$$$l.map -o $$(@D)/$$$$l $$(@D)/$$$$l.s; done
	touch $$@
$(NATIVES)/$(1)/libvmnet_shim.so: $(NATIVES_SHIM:%.c=$(NATIVES)/$(1)/obj/%.o) $(NATIVES)/$(1)/obj/old_glibc.o
$(NATIVES)/$(1)/vmnet-gateway: $(NATIVES_GATEWAY:%.c=$(NATIVES)/$(1)/obj/%.o) $(NATIVES)/$(1)/obj/old_glibc.o
$(NATIVES)/$(1)/libvmnet_shim.so $(NATIVES)/$(1)/vmnet-gateway: $(NATIVES)/$(1)/stub/made
	$$(CLANG) --target=$$(NATIVES_TARGET_$(1)) $$(NATIVES_LDFLAGS) -nodefaultlibs $$(if $$(filter %.so,$$@),-shared \
	  -Wl$$(comma)-z$$(comma)nodelete -Wl$$(comma)-z$$(comma)defs -Wl$$(comma)--version-script=vmnet_shim.map,-pie) -o $$@ $$(filter %.o,$$^) \
	  $$(NATIVES)/$(1)/stub/libc.so.6 $$(NATIVES)/$(1)/stub/libpthread.so.0 $$(NATIVES)/$(1)/stub/libdl.so.2 \
	  $$(NATIVES_NONSHARED_$(1)) -lgcc
endef
$(foreach platform,$(NATIVES_GLIBC),$(eval $(call NATIVE,$(platform))))

# Tests that know nothing but the ABI, with the very files. An emulator cannot start the gateway, so it is left out.
NATIVES_TESTS := embedded_interface_test
NATIVES_RUN_linux-x64 := $(if $(filter x86_64,$(shell uname -m)),env)
NATIVES_RUN_linux-arm64 := $(if $(shell command -v qemu-aarch64 2>/dev/null),qemu-aarch64 -L /usr/aarch64-linux-gnu)
define NATIVE_TEST
$(NATIVES)/$(1)/%_test: $(NATIVES)/$(1)/obj/tests/%_test.o $(NATIVES)/$(1)/obj/core/list.o $(NATIVES)/$(1)/obj/core/os.o \
  $(NATIVES)/$(1)/libvmnet_shim.so
	$$(CLANG) --target=$$(NATIVES_TARGET_$(1)) $$(firstword $$(NATIVES_LDFLAGS)) -pthread -Wl,-rpath,'$$$$ORIGIN' -o $$@ $$^
endef
$(foreach platform,$(NATIVES_GLIBC),$(eval $(call NATIVE_TEST,$(platform))))
NATIVES_RUNNABLE := $(foreach p,$(NATIVES_GLIBC),$(if $(NATIVES_RUN_$(p)),$(p)))
test-natives: $(foreach p,$(NATIVES_RUNNABLE),$(NATIVES_TESTS:%=$(NATIVES)/$(p)/%))
	@$(foreach p,$(NATIVES_RUNNABLE),for t in $(NATIVES_TESTS); do echo "$$t ($(p))"; \
	  $(NATIVES_RUN_$(p)) $(abspath $(NATIVES))/$(p)/$$t || exit 1; done;)
