# SPDX-License-Identifier: Apache-2.0
# Stack test of the writer: the process, real clients, the SQLite log.

WRITER_TESTS := $(BUILD)/stack/test_writer
$(WRITER_TESTS): $(BUILD)/stack/%: $(BUILD)/obj/tests/stack/%.o $(BUILD)/obj/tests/stack/writer_fixture.o \
                 $(call obj,$(TEST_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out $(ARCHIVES),$^) $(ARCHIVES) -lcmocka $(LIBS_UV) $(LIBS_LOG) -lhiredis

.PHONY: writer-test
writer-test: $(WRITER_TESTS) $(BUILD)/wharf-writer ## the writer under load, bad input, full disks and kills
	@set -e; for t in $(WRITER_TESTS); do echo "== $${t#$(BUILD)/}"; BUILD=$(BUILD) $$t; done
TEST_TARGETS += writer-test
