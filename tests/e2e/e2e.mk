# SPDX-License-Identifier: Apache-2.0
# End to end: the command line on an embedded stack of its own, in a directory of its own.
TEST_TARGETS += e2e
.PHONY: e2e
$(BUILD)/tests/at_terminal: tests/e2e/at_terminal.c
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lutil
e2e: ## the command line on a real embedded stack (root)
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory all $(BUILD)/tests/at_terminal
	@WHARF_BUILD=$(abspath $(BUILD)) tests/support/side_by_side.sh bats $(E2E_FLAGS) -- $(or $(E2E),$(wildcard tests/e2e/*.bats))
