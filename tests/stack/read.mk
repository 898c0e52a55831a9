# SPDX-License-Identifier: Apache-2.0
# Stack tests of the read side: projector and query as processes, a real Redis, the SQLite log.

READ_TESTS := $(BUILD)/stack/test_projection $(BUILD)/stack/test_query
$(READ_TESTS): $(BUILD)/stack/%: $(BUILD)/obj/tests/stack/%.o $(BUILD)/obj/tests/stack/read_fixture.o \
               $(call obj,$(TEST_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out $(ARCHIVES),$^) $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

.PHONY: read-test
read-test: $(READ_TESTS) $(BUILD)/wharf-projector $(BUILD)/wharf-query ## read side against a real Redis
	@set -e; for t in $(READ_TESTS); do echo "== $${t#$(BUILD)/}"; BUILD=$(BUILD) $$t; done
TEST_TARGETS += read-test
