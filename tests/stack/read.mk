# SPDX-License-Identifier: Apache-2.0
# Stack tests of the read side: projector and query as processes, a real Redis, the SQLite log.

READ_TESTS := $(patsubst tests/stack/%.c,$(BUILD)/stack/%,$(filter-out %_fixture.c,$(wildcard tests/stack/test_projection.c \
              tests/stack/test_query.c)))
$(READ_TESTS): $(BUILD)/stack/%: $(BUILD)/obj/tests/stack/%.o $(BUILD)/obj/tests/stack/read_fixture.o \
               $(call obj,$(TEST_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out $(ARCHIVES),$^) $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

.PHONY: read-test
read-test: $(READ_TESTS) $(patsubst cmd/%.c,$(BUILD)/%,$(wildcard cmd/wharf-projector.c cmd/wharf-query.c)) ## read side against a real Redis
	@set -e; for t in $(READ_TESTS); do echo "== $${t#$(BUILD)/}"; BUILD=$(BUILD) $$t; done
