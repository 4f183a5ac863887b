# The library of macOS, built on any machine by clang and lld, without an SDK: darwin/sdk/ declares what is used.
#
#   make darwin     build/darwin/libvmnet_shim.dylib and build/darwin/vmnet-host: arm64 and x86_64, macOS 12 and later,
#                   signed ad hoc. The same bytes in any folder, by the same versions of clang and lld.
#
# -nostdlibinc is a must: clang looks into /usr/include for an Apple target too and would take Linux's constants.

SLICES := arm64 x86_64
CROSS := $(BUILD)/darwin
# clang, lld and llvm-lipo of one version, the newest that is complete: Debian has ld64.lld under versioned names alone.
# make CROSS_VERSION=-14 picks one, CROSS_VERSION=- the names without a version.
ifndef CROSS_VERSION
CROSS_VERSION := $(shell for v in -22 -21 -20 -19 -18 -17 -16 -15 -14 ''; do \
  if command -v clang$$v && command -v ld64.lld$$v && command -v llvm-lipo$$v; then echo "$${v:--}" >&3; break; fi; \
  done 3>&1 >/dev/null)
endif
CROSS_STAMP := $(CROSS)/tools$(CROSS_VERSION)-macos$(MACOS)-small
CROSS_CLANG = clang$(CROSS_VERSION:-=)
CROSS_LD = ld64.lld$(CROSS_VERSION:-=)
CROSS_LIPO = llvm-lipo$(CROSS_VERSION:-=)

# Small, as the package brings it along for two processors: without what only a debugger reads.
CROSS_FLAGS := -Os -g0 -fno-asynchronous-unwind-tables -fno-unwind-tables -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -fblocks -fvisibility=hidden \
  -nostdlibinc -Idarwin/sdk -idirafter $(CROSS)/include -I. -Icore -Idarwin -MD -MP
CROSS_LINK = $(CROSS_LD) -arch $* -platform_version macos $(MACOS) $(MACOS) -dead_strip -x -adhoc_codesign -o $@ \
  $(filter %.o,$^) $(STUBS)
STUBS := $(addprefix darwin/sdk/,libSystem.tbd vmnet.tbd CoreFoundation.tbd)
# The standard headers of the cross build: each of them leads to libc.h.
LIBC_HEADERS := $(addsuffix .h,arpa/inet crt_externs dirent dlfcn errno fcntl ifaddrs limits net/ethernet net/if \
  netinet/in netinet/tcp poll pthread signal spawn stdio stdlib string sys/random sys/socket sys/stat sys/sysctl sys/types sys/uio \
  sys/un sys/wait sys/xattr time unistd)

DYLIB_SOURCES := $(sort $(CORE) $(SWITCHED) $(filter-out darwin/sdk_check.c,$(DARWIN)))
HOST_SOURCES := $(sort $(wildcard host/*.c))

.PHONY: darwin
ifeq ($(CROSS_VERSION),)
darwin:
	@echo "$@: skipped, the cross build needs clang, ld64.lld (lld) and llvm-lipo (llvm), of version 14 or later"
else
darwin: $(CROSS)/libvmnet_shim.dylib $(if $(HOST_SOURCES),$(CROSS)/vmnet-host)
endif

# Another version of the tools or of macOS, another file.
$(CROSS_STAMP):
	@mkdir -p $(@D)
	@rm -f $(CROSS)/tools*
	@touch $@

$(LIBC_HEADERS:%=$(CROSS)/include/%): darwin/darwin.mk
	@mkdir -p $(@D)
	echo '#include <libc/libc.h>' >$@

define SLICE
$(CROSS)/$(1)/%.o: %.c $(CROSS_STAMP) $(LIBC_HEADERS:%=$(CROSS)/include/%)
	@mkdir -p $$(@D)
	$$(CROSS_CLANG) -target $(1)-apple-macos$(MACOS) $$(CROSS_FLAGS) -c -o $$@ $$<
$(CROSS)/$(1)/libvmnet_shim.dylib: $(DYLIB_SOURCES:%.c=$(CROSS)/$(1)/%.o)
$(CROSS)/$(1)/vmnet-host: $(DYLIB_SOURCES:%.c=$(CROSS)/$(1)/%.o) $(HOST_SOURCES:%.c=$(CROSS)/$(1)/%.o)
endef
$(foreach slice,$(SLICES),$(eval $(call SLICE,$(slice))))

$(SLICES:%=$(CROSS)/%/libvmnet_shim.dylib): $(CROSS)/%/libvmnet_shim.dylib: $(STUBS)
	$(CROSS_LINK) -dylib -install_name @rpath/$(@F)

# lld cannot sign with entitlements, so scripts/sign.mjs replaces its signature.
$(SLICES:%=$(CROSS)/%/vmnet-host): $(CROSS)/%/vmnet-host: $(STUBS) darwin/vmnet-host.entitlements ../scripts/sign.mjs
	$(CROSS_LINK) -execute
	node ../scripts/sign.mjs $@ $(@F) darwin/vmnet-host.entitlements || { rm -f $@; exit 1; }

# Written beside and moved, for the file may be in use.
$(CROSS)/libvmnet_shim.dylib $(CROSS)/vmnet-host: $(CROSS)/%: $(foreach slice,$(SLICES),$(CROSS)/$(slice)/%)
	$(CROSS_LIPO) -create $^ -output $@.new
	mv $@.new $@
