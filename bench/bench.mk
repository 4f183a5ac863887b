# build/libvmnet_bench.so: every object of the shim, and the loops in C that the benchmarks compare with.
.PHONY: bench
bench: all $(BUILD)/libvmnet_bench.so

$(BUILD)/bench/ceiling.o: ../bench/ceiling.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/libvmnet_bench.so: $(SHIM_OBJECTS) $(BUILD)/bench/ceiling.o
	$(CC) $(CFLAGS) $(LDFLAGS) $(filter-out -Wl$(comma)--version-script%,$(SHARED)) -o $@ $^ $(LDLIBS)
