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

# Those of the data plane need what they look at alone, and make a picture of the rest themselves.
FUZZ_PLANE_offload := plane/offload.c plane/headers.c embedded/checksum.c
FUZZ_PLANE_stream := embedded/stream_port.c embedded/ports.c embedded/poller.c core/switch.c core/os.c
FUZZ_PLANE_guard := plane/guard.c plane/binding.c plane/headers.c embedded/address.c core/os.c
$(BUILD)/fuzz_stream $(BUILD)/fuzz_offload $(BUILD)/fuzz_guard: $(BUILD)/fuzz_%: tests/fuzz_%.c $(wildcard plane/*.[ch] embedded/*.[ch] core/*.h)
	@mkdir -p $(@D)
	$(CC) $(FUZZ_FLAGS) -std=gnu11 -I. -Icore -o $@ $< $(FUZZ_PLANE_$*) -pthread

# With the whole shim, because it is the endpoint's life that is looked at.
$(BUILD)/fuzz_datagram: tests/fuzz_datagram.c $(CORE) $(EMBEDDED) $(PLANE) $(wildcard plane/*.h embedded/*.h core/*.h)
	@mkdir -p $(@D)
	$(CC) $(FUZZ_FLAGS) -std=gnu11 -I. -Icore -o $@ $< $(CORE) $(EMBEDDED) $(PLANE) -pthread -ldl
