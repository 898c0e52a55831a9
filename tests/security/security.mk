# SPDX-License-Identifier: Apache-2.0
# Attacks from inside a container, and by hostile bundles; see README.md. Each is also tried on a build that goes without the
# defence, where it has to succeed.
$(BUILD)/security/attack: tests/security/attack.c
	@mkdir -p $(@D)
	@echo "  CC $< (musl)"; $(SHIM_CC) $(SHIM_CFLAGS) -static -no-pie -o $@ $<

TEST_TARGETS += security-test
.PHONY: security-test
security-test: $(BUILD)/security/attack ## attacks on containers, held off and, without the defence, not (as root)
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/faults FAULTS=1 all
	@WHARF_BUILD=$(abspath $(BUILD)) bats tests/security
