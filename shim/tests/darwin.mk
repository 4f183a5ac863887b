# make bench-darwin-drain   what vn_drain() costs over a loop of vmnet_read(); VN_BAR=1.15 makes more than that a failure

.PHONY: bench-darwin-drain
ifneq ($(BLOCKS),)
bench-darwin-drain: $(BUILD)/doubles/darwin_drain_bench
	$(abspath $<)

$(BUILD)/doubles/darwin_drain_bench: $(DOUBLED)/tests/darwin_drain_bench.o $(DOUBLED_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
endif
