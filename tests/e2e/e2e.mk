# SPDX-License-Identifier: Apache-2.0
# End to end: the command line on an embedded stack of its own, in a directory of its own.
TEST_TARGETS += e2e
.PHONY: e2e
e2e: ## the command line on a real embedded stack (root)
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory all
	@WHARF_BUILD=$(abspath $(BUILD)) bats $(E2E_FLAGS) $(or $(E2E),tests/e2e)
