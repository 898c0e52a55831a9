# SPDX-License-Identifier: Apache-2.0
# How fast events reach Redis, beside raw HSETs in the same run.

$(BUILD)/bench/bench_project: $(BUILD)/obj/tests/bench/bench_project.o $(call obj,$(TEST_SUPPORT)) $(BUILD)/libclient.a $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(BUILD)/libclient.a $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

.PHONY: bench-project
bench-project: $(BUILD)/bench/bench_project $(BUILD)/wharf-projector $(BUILD)/wharf-query ## projected events per second beside raw Redis
	@BUILD=$(BUILD) $<
