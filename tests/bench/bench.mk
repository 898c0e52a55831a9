# SPDX-License-Identifier: Apache-2.0
# Measuring programs: tests/bench/bench_NAME.c is build/bench/bench_NAME.

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis -lseccomp -larchive

$(BUILD)/bench/bench_restart: $(BUILD)/obj/tests/bench/bench_restart.o $(call obj,$(TEST_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out $(ARCHIVES),$^) $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

.PHONY: bench
bench: all $(BUILD)/bench/bench_restart $(BUILD)/bench/bench_command $(BUILD)/bench/bench_kernel $(BUILD)/bench/bench_project $(BUILD)/bench/bench_log ## wharf beside its peers, with ratios (root)
	@scripts/deps.sh test
	@tests/bench/bench.sh $(BUILD) $(BENCH_RUNS)
