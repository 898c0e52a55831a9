# SPDX-License-Identifier: Apache-2.0
# The real thing, killed: see README.md. The roles are those of a build of its own, in which the crash points exist.
CHAOS_BUILD   := $(BUILD)/faults
CHAOS_SRC     := $(filter-out tests/chaos/payload.c,$(wildcard tests/chaos/*.c))
MINUTES       ?= 1

$(BUILD)/chaos/chaos: $(call obj,$(CHAOS_SRC)) $(BUILD)/libclient.a $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(BUILD)/libclient.a $(ARCHIVES) \
	    $(LIBS_UV) $(LIBS_LOG) -lhiredis
$(BUILD)/chaos/payload: tests/chaos/payload.c
	@mkdir -p $(@D)
	@echo "  CC $< (musl)"; $(SHIM_CC) $(SHIM_CFLAGS) -static -no-pie -o $@ $<

# make chaos MINUTES=n LOG=sqlite|kafka SEED=n; without LOG one after the other.
.PHONY: chaos chaos-build
chaos-build:
	@$(MAKE) --no-print-directory BUILD=$(CHAOS_BUILD) FAULTS=1 all $(CHAOS_BUILD)/chaos/chaos $(CHAOS_BUILD)/chaos/payload
chaos: test-deps chaos-build ## kill everything at random and at every crash point for MINUTES=n (root)
	@$(MAKE) --no-print-directory $(KAFKA_LIBS)/.complete
	@set -e; export TEST_KAFKA_LIBS=$(abspath $(KAFKA_LIBS)); for log in $(or $(LOG),sqlite kafka); do \
	    $(CHAOS_BUILD)/chaos/chaos --build $(abspath $(CHAOS_BUILD)) --payload $(CHAOS_BUILD)/chaos/payload --log $$log \
	        --seconds $$(($(MINUTES) * 60)) $(if $(SEED),--seed $(SEED)); done
TEST_TARGETS += chaos
