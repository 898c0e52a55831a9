# SPDX-License-Identifier: Apache-2.0
# A long run: many whole lifecycles, and what they leave behind. A measurement, not part of `make test`.

LIFECYCLES ?= 50000
.PHONY: soak
soak: test-deps ## 50,000 container lifecycles: memory, descriptors, disk and latency from start to end (root)
	@$(MAKE) --no-print-directory all $(BUILD)/bench/bench_command
	@tests/soak/soak.sh $(BUILD) $(LIFECYCLES)
