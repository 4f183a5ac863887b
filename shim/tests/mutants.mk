# Deliberate errors that only real threads, real sockets and the strict doubles can show: VN_BROKEN(n), n from 31 on (the
# model's are below, see model.mk). docs/mutations.md names each with the test that has to catch it, and is compared
# with the sources. A mutant is that test's AddressSanitizer build but for the one file with the error: tests/plane_*
# with Linux's library, the others with that of macOS over the doubles.
#
#   make test-mutants            all of them
#   make test-mutants MUTANT=34  one; what it does is in build/mutants/34.log

MUTATIONS := ../docs/mutations.md
# Rows of the table: number:file:test.
mutant_rows := $(shell sed -n 's/^| *\([0-9]*\) | `\([a-z_/]*[.]c\)` |.*| `\([a-z_]*_test\)` |.*/\1:\2:\3/p' $(MUTATIONS) 2>/dev/null)
REAL_ROWS := $(foreach row,$(mutant_rows),$(if $(filter %:model_test,$(row)),,$(row)))
MUTANT ?= $(foreach row,$(REAL_ROWS),$(firstword $(subst :, ,$(row))))
mutant_field = $(word $(1),$(subst :, ,$(filter $(2):%,$(REAL_ROWS))))
MUTANT_TESTS := $(sort $(foreach row,$(REAL_ROWS),$(word 3,$(subst :, ,$(row)))))
# What a mutant is linked from, and how it is compiled: $(call ...,number)
mutant_of = $(if $(filter plane_%,$(call mutant_field,3,$(1))),$(2),$(3))
mutant_objects = $(call mutant_of,$(1),$(SHIM_OBJECTS),$(DOUBLED_OBJECTS))
mutant_test = $(call mutant_of,$(1),$(BUILD),$(DOUBLED))/tests/$(call mutant_field,3,$(1)).o

# An error in a file without a VN_BROKEN() of its own is an edit, which has to change something.
MUTANT_EDIT_42 := s/rule.internal_port, (uint16_t)rule.external_port/rule.external_port, (uint16_t)rule.internal_port/

.PHONY: test-mutants check-mutations
check-mutations:
	@mkdir -p $(BUILD)
	@printf '%s\n' $(mutant_rows) | grep -v ^42: | sed 's/\(.*\):\(.*\):.*/\2 VN_BROKEN(\1)/' | sort >$(BUILD)/mutations.listed
	@grep -o 'VN_BROKEN([0-9]*)' $(CORE) $(EMBEDDED) $(PLANE) $(DARWIN) | sed 's/:/ /' | sort -u >$(BUILD)/mutations.found
	@diff $(BUILD)/mutations.listed $(BUILD)/mutations.found || { echo "docs/mutations.md does not list what the sources have"; exit 1; }

ifneq ($(BLOCKS),)
test-mutants: check-mutations
	$(MAKE) BUILD=$(BUILD)/asan CFLAGS='-O2 -g $(SANITIZE_asan)' $(MUTANT:%=mutant-%)

# Beside the test, where the library looks for it.
$(BUILD)/mutants/vmnet-host: $(BUILD)/doubles/vmnet-host
	@mkdir -p $(@D)
	cp $< $@

mutant-%: $(DOUBLED_OBJECTS) $(SHIM_OBJECTS) $(BUILD)/mutants/vmnet-host \
  $(patsubst %,$(DOUBLED)/tests/%.o,$(filter-out plane_%,$(MUTANT_TESTS))) \
  $(patsubst %,$(BUILD)/tests/%.o,$(filter plane_%,$(MUTANT_TESTS)))
	@mkdir -p $(BUILD)/mutants
	sed '$(MUTANT_EDIT_$*)' $(call mutant_field,2,$*) >$(BUILD)/mutants/$*.c
	@if [ -n '$(MUTANT_EDIT_$*)' ] && cmp -s $(call mutant_field,2,$*) $(BUILD)/mutants/$*.c; then \
	  echo "mutant $*: the edit changes nothing"; exit 1; fi
	$(CC) $(CFLAGS) $(call mutant_of,$*,,$(DOUBLE_FLAGS)) -I$(dir $(call mutant_field,2,$*)) -DVN_MUTANT=$* -c -o $(BUILD)/mutants/$*.o $(BUILD)/mutants/$*.c
	$(CC) $(CFLAGS) -o $(BUILD)/mutants/$* $(BUILD)/mutants/$*.o $(call mutant_test,$*) \
	  $(filter-out %/$(patsubst %.c,%.o,$(call mutant_field,2,$*)),$(call mutant_objects,$*)) $(LDLIBS)
	@if VN_LONG= VN_FIRST=1 timeout 120 $(BUILD)/mutants/$* >$(BUILD)/mutants/$*.log 2>&1; then echo "mutant $* was not caught"; exit 1; fi
	@echo "mutant $*: caught by $(call mutant_field,3,$*) ($$(grep -v '^  ok\|^ *$$\|^=*$$' $(BUILD)/mutants/$*.log | head -1))"
endif
