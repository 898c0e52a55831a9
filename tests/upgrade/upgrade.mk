# SPDX-License-Identifier: Apache-2.0
# The previous build's containers under this build's runtime. See README.md.

PREVIOUS := $(shell cat tests/upgrade/previous 2>/dev/null)
PREVIOUS_DIR := $(BUILD)/previous/$(PREVIOUS)

$(PREVIOUS_DIR)/.complete: tests/upgrade/previous
	@git cat-file -e $(PREVIOUS)^{commit} 2>/dev/null || { echo "the previous build, commit $(PREVIOUS), is not in this \
	    clone's history: git fetch --unshallow" >&2; exit 1; }
	@echo "  GIT $(PREVIOUS)"; mkdir -p $(@D) && git archive $(PREVIOUS) | tar -x -C $(@D)
	@$(MAKE) --no-print-directory -C $(@D) BUILD=build WERROR= all >$(@D)/build.log && touch $@

.PHONY: upgrade-test
upgrade-test: ## containers of the previous build go on under this one (root)
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory all $(PREVIOUS_DIR)/.complete
	@WHARF_BUILD=$(abspath $(BUILD)) TEST_PREVIOUS=$(abspath $(PREVIOUS_DIR)) bats tests/upgrade
TEST_TARGETS += upgrade-test
