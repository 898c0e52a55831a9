# SPDX-License-Identifier: Apache-2.0
# A QEMU guest whose kernel has cgroup v2 alone, for a short end to end there. See README.md.
GUEST := $(BUILD)/guest
GUEST_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/root/test_*.c))

$(GUEST)/vmlinuz: tests/guest/fetch_kernel.sh
	@echo "  GET Debian's cloud kernel"; tests/guest/fetch_kernel.sh $(@D) && touch $@

$(GUEST)/initramfs.gz: $(GUEST)/vmlinuz $(BINARIES) $(GUEST_TESTS) $(wildcard tests/guest/*.sh)
	@echo "  GEN $@"; tests/guest/make_initramfs.sh $(BUILD) $@

.PHONY: guest-test guest-root guest-reboot
guest-test: ## a short end to end in a QEMU guest with pure cgroup v2
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory $(GUEST)/initramfs.gz
	@tests/guest/run_guest.sh $(GUEST)/vmlinuz $(GUEST)/initramfs.gz $(GUEST)/console.log
guest-root: ## the engine's root tests in a QEMU guest with pure cgroup v2
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory $(GUEST)/initramfs.gz
	@GUEST_ROOT_TESTS=$${GUEST_ROOT_TESTS:-test_} GUEST_TIMEOUT_S=900 tests/guest/run_guest.sh $(GUEST)/vmlinuz $(GUEST)/initramfs.gz $(GUEST)/console-root.log
guest-reboot: ## power cuts of a QEMU guest, and what is there after each
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory $(GUEST)/initramfs.gz
	@tests/guest/run_reboot.sh $(GUEST)/vmlinuz $(GUEST)/initramfs.gz $(GUEST)/reboot
TEST_TARGETS += guest-test guest-reboot
