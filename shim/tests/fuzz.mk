# Fuzzing: every tests/fuzz_<what>.c runs for a few seconds, or for a minute with LONG=1. Needs clang's libFuzzer. An
# input that crashes stays in $(BUILD)/fuzz/<what>/, and the log beside it.

# fuzz_call is linked to the library of macOS over the doubles, the others to the gateway.
FUZZERS := $(filter-out $(if $(BLOCKS),,call),$(patsubst tests/fuzz_%.c,%,$(wildcard tests/fuzz_*.c)))
FUZZ_SECONDS := $(if $(LONG),60,3)
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_SOURCES = $(filter-out gateway/main.c,$(GATEWAY)) core/list.c core/os.c

.PHONY: run-fuzz
test-fuzz:
ifeq ($(CLANG),)
	@echo "fuzz: skipped $(words $(FUZZERS)), because clang is not installed"
	@echo "0 passed, 0 failed"
else
	@$(MAKE) --no-print-directory CC=$(CLANG) BUILD=$(BUILD)/fuzz LONG=$(LONG) run-fuzz
endif

run-fuzz: $(FUZZERS:%=$(BUILD)/fuzz_%)
	@passed=0; failed=0; for f in $(FUZZERS); do \
	  mkdir -p $(BUILD)/$$f/corpus; \
	  if $(abspath $(BUILD))/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 -verbosity=0 \
	    -print_final_stats=1 -close_fd_mask=1 -artifact_prefix=$(BUILD)/$$f/ $(BUILD)/$$f/corpus 2>$(BUILD)/$$f/log; then \
	    passed=$$((passed + 1)); \
	    echo "  ok   fuzz_$$f ($$(sed -n 's/^stat::number_of_executed_units: *//p' $(BUILD)/$$f/log) inputs)"; \
	  else \
	    failed=$$((failed + 1)); echo "  FAIL fuzz_$$f"; tail -40 $(BUILD)/$$f/log; \
	  fi; done; echo "$$passed passed, $$failed failed"; [ $$failed = 0 ]

$(BUILD)/fuzz_%: tests/fuzz_%.c $(FUZZ_SOURCES) $(wildcard gateway/*.h core/*.h tests/*.h)
	@mkdir -p $(@D)
	$(CC) $(FUZZ_FLAGS) -std=gnu11 -I. -Icore -Itests -o $@ $< $(FUZZ_SOURCES) -pthread -ldl

FUZZ_CALL_SOURCES = $(CORE) $(SWITCHED) $(OVER_DOUBLES) $(DOUBLES)
$(BUILD)/fuzz_call: tests/fuzz_call.c tests/client.h $(wildcard core/* embedded/* darwin/*.[ch] doubles/*.[ch])
	@mkdir -p $(@D)
	$(CC) $(FUZZ_FLAGS) -std=gnu11 -I. -Icore $(DOUBLE_FLAGS) -o $@ $< $(FUZZ_CALL_SOURCES) -pthread -ldl
