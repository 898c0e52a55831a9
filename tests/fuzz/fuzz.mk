# SPDX-License-Identifier: Apache-2.0
# Fuzzing: each tests/fuzz/fuzz_NAME.c is a libFuzzer target, with seeds in tests/fuzz/corpus/NAME/. What is found is
# written to the build folder; a finding that was a defect becomes a seed.

FUZZ_SECONDS ?= 4
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

$(FUZZERS): $(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/libclient.a $(ARCHIVES)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis \
	    -lseccomp -larchive

.PHONY: fuzz fuzz-run
fuzz: ## fuzz every decoder of foreign bytes for FUZZ_SECONDS each
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang-14 SANITIZE=fuzzer-no-link,address,undefined \
	    OPT="-O1 -g" fuzz-run
fuzz-run: $(FUZZERS)
	@printf '%s\n' $(FUZZERS) | xargs -P "$$(nproc)" -I TARGET tests/fuzz/fuzz.sh TARGET $(FUZZ_SECONDS)
TEST_TARGETS += fuzz
