# SPDX-License-Identifier: Apache-2.0
# Fuzzing: each tests/fuzz/fuzz_NAME.c is a libFuzzer target, with seeds in tests/fuzz/corpus/NAME/. What is found is
# written to the build folder; a finding that was a defect becomes a seed.

FUZZ_SECONDS ?= 10
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

$(FUZZERS): $(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/libclient.a $(ARCHIVES)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis \
	    -lseccomp -larchive

.PHONY: fuzz fuzz-run
fuzz: ## fuzz every decoder of foreign bytes for FUZZ_SECONDS each
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang-14 SANITIZE=fuzzer-no-link,address,undefined \
	    OPT="-O1 -g" fuzz-run
fuzz-run: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do name=$${f##*/fuzz_}; mkdir -p $(BUILD)/corpus/$$name tests/fuzz/corpus/$$name; \
	    echo "== fuzz $$name for $(FUZZ_SECONDS) s"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=16384 -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/$$name- $(BUILD)/corpus/$$name tests/fuzz/corpus/$$name 2>&1 | \
	        tee $(BUILD)/$$name.log | grep -E 'ERROR|SUMMARY|number_of_executed_units|Test unit written' ; \
	    ! grep -qE 'ERROR: |SUMMARY: ' $(BUILD)/$$name.log; done
TEST_TARGETS += fuzz
