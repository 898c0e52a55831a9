# SPDX-License-Identifier: Apache-2.0
# Measuring programs: tests/bench/bench_NAME.c is build/bench/bench_NAME.

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis -lseccomp -larchive

$(BUILD)/bench/bench_restart: $(BUILD)/obj/tests/bench/bench_restart.o $(call obj,$(TEST_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out $(ARCHIVES),$^) $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

BENCHES := $(addprefix $(BUILD)/bench/,bench_command bench_host bench_kernel bench_log bench_project bench_restart)
.PHONY: bench
bench: test-deps ## wharf beside its peers, with ratios (root)
	@$(MAKE) --no-print-directory all $(KAFKA_LIBS)/.complete $(BENCHES)
	@TEST_KAFKA_LIBS=$(abspath $(KAFKA_LIBS)) tests/bench/bench.sh $(BUILD) $(BENCH_RUNS)

.PHONY: bench-oci
bench-oci: test-deps ## wharf-oci beside crun (root)
	@$(MAKE) --no-print-directory all $(BUILD)/bench/bench_command $(BUILD)/bench/bench_bundle
	@tests/bench/bench_oci.sh $(BUILD) $(BENCH_RUNS)
