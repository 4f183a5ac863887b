# The protocols of core/, and of darwin/ over a model of vmnet's events, under a seeded scheduler (tests/model.h), and the
# proof that it can fail: builds with one deliberate error each (VN_BROKEN(n), n below 31) must all be caught by the short
# run. VN_SEED=n build/model/model_test replays a schedule.

MODEL_CORE := $(filter-out core/os.c core/runtime_process.c core/switch.c,$(CORE)) $(if $(BLOCKS),darwin/nic_source.c)
MODEL_SOURCES := $(MODEL_CORE) $(wildcard tests/model_*.c)
MUTANTS := $(shell grep -ho 'VN_BROKEN([0-9]*)' $(MODEL_CORE) | grep -o '[0-9]*' | sort -nu | awk '$$1 < 31')
MODEL_FLAGS = $(filter-out -MMD -MP,$(CFLAGS)) $(if $(BLOCKS),-fblocks -Idarwin -Idarwin/sdk -DVN_MODEL_VMNET) -DVN_MODEL
MODEL_HEADERS := $(wildcard core/*.h darwin/*.h tests/model*.h)
MODEL_OBJECTS := $(MODEL_SOURCES:%.c=$(BUILD)/model/%.o)

test-model: $(BUILD)/model/model_test $(MUTANTS:%=$(BUILD)/model/mutant%)
	VN_LONG=$(LONG) $<
	@for n in $(MUTANTS); do \
	  if caught=$$(VN_LONG= $(BUILD)/model/mutant$$n 2>&1); then echo "mutant $$n was not caught"; exit 1; fi; \
	  echo "mutant $$n: caught ($$caught)"; done

$(BUILD)/model/%.o: %.c $(MODEL_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(MODEL_FLAGS) -c -o $@ $<

$(BUILD)/model/model_test: $(MODEL_OBJECTS)
	$(CC) $(MODEL_FLAGS) -o $@ $^

# A mutant is the same program but for the one file that has its error.
$(BUILD)/model/mutant%: $(MODEL_OBJECTS)
	file=$$(grep -l 'VN_BROKEN($*)' $(MODEL_CORE)) && $(CC) $(MODEL_FLAGS) -DVN_MUTANT=$* -o $@ $$file \
	  $$(echo $^ | sed "s,$(BUILD)/model/$${file%.c}[.]o,,")
