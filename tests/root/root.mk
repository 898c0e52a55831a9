# SPDX-License-Identifier: Apache-2.0
# Tests against the real kernel: they need root, and make namespaces, mounts and cgroups of their own.
ROOT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/root/test_*.c))
ROOT_SUPPORT := $(filter-out tests/root/test_%,$(wildcard tests/root/*.c))

$(BUILD)/tests/root/test_%: $(BUILD)/obj/tests/root/test_%.o $(call obj,$(ROOT_SUPPORT)) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(ARCHIVES) \
	    -lcmocka $(LIBS_UV) -lsodium -lseccomp -larchive

TEST_TARGETS += root-test
.PHONY: root-test
root-test: $(ROOT_TESTS) $(BUILD)/wharf-shim $(BUILD)/wharf-image $(BUILD)/wharf-oci ## sandbox, shim and host on the real kernel (as root)
	@WHARF_BUILD=$(BUILD) tests/support/side_by_side.sh -- $(ROOT_TESTS)
	@WHARF_BUILD=$(BUILD) tests/support/side_by_side.sh bats -- $(wildcard tests/root/*.bats)
