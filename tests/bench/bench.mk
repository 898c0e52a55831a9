# SPDX-License-Identifier: Apache-2.0
# Measuring programs: tests/bench/bench_NAME.c is build/bench/bench_NAME.

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis -lseccomp -larchive
