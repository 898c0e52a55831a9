# SPDX-License-Identifier: Apache-2.0
# The OCI runtime validation suite. It is built from the module proxy by Go, which is not among the packages that the other
# tests need, and kept in $(BUILD)/conformance.
.PHONY: conformance conformance-test
conformance: $(BUILD)/wharf-oci ## the OCI validation suite against wharf-oci, and crun and runc if they are there (as root)
	@scripts/deps.sh conformance
	@tests/conformance/conformance.sh $(BUILD)/conformance $(BUILD)/wharf-oci$$(for peer in crun runc; do \
	    ! command -v $$peer >/dev/null || printf ,$$peer; done)
conformance-test: $(BUILD)/wharf-oci ## the OCI validation suite against wharf-oci: what passes must be what has passed (as root)
	@scripts/deps.sh conformance
	@tests/conformance/conformance.sh $(BUILD)/conformance $(BUILD)/wharf-oci
