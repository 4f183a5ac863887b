# build/libvmnet_bench.so: every object of the shim, and the loops in C that the benchmarks compare with.
.PHONY: bench
bench: all $(BUILD)/libvmnet_bench.so

$(BUILD)/bench/ceiling.o: ../bench/ceiling.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/libvmnet_bench.so: $(SHIM_OBJECTS) $(BUILD)/bench/ceiling.o
	$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out -Wl$(comma)--version-script%,$(SHARED)) -o $@ $^ $(LDLIBS)

# Guests and ceilings of `npm run bench:peers`, programs of their own: a peer is no part of this process either.
.PHONY: bench-peers
bench-peers: all $(BUILD)/bench/traffic $(BUILD)/bench/carry

$(BUILD)/bench/%: ../bench/peers/%.c ../bench/peers/link.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden -fPIC -MMD -MP,$(CFLAGS)) -o $@ $<
