# The protocols of core/ under a seeded scheduler (tests/model.h), and the proof that it can fail: builds with one
# deliberate error each (VN_BROKEN(n) in core/) must all be caught by the short run. VN_SEED=n build/model/model_test
# replays a schedule.

MODEL_CORE := $(filter-out core/os.c core/runtime_process.c core/switch.c,$(CORE))
MODEL_SOURCES := $(MODEL_CORE) $(wildcard tests/model_*.c)
MUTANTS := $(shell seq $(shell grep -ho 'VN_BROKEN([0-9]*)' $(MODEL_CORE) | grep -o '[0-9]*' | sort -n | tail -1))
MODEL_COMPILE = $(CC) $(filter-out -MMD -MP,$(CFLAGS)) -DVN_MODEL -o $@ $(MODEL_SOURCES)

test-model: $(BUILD)/model/model_test $(MUTANTS:%=$(BUILD)/model/mutant%)
	VN_LONG=$(LONG) $<
	@for n in $(MUTANTS); do \
	  if caught=$$(VN_LONG= $(BUILD)/model/mutant$$n 2>&1); then echo "mutant $$n was not caught"; exit 1; fi; \
	  echo "mutant $$n: caught ($$caught)"; done

$(BUILD)/model/model_test: $(MODEL_SOURCES) $(wildcard core/*.h tests/model*.h)
	@mkdir -p $(@D)
	$(MODEL_COMPILE)

$(BUILD)/model/mutant%: $(MODEL_SOURCES) $(wildcard core/*.h tests/model*.h)
	@mkdir -p $(@D)
	$(MODEL_COMPILE) -DVN_MUTANT=$*
