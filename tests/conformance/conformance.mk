# SPDX-License-Identifier: Apache-2.0
# The OCI runtime validation suite. It is built from the module proxy by Go 1.19 or later, which is not among the
# packages that the other tests need.
.PHONY: conformance
conformance: $(BUILD)/wharf-oci ## the OCI validation suite against wharf-oci (as root; needs Go)
	@tests/conformance/conformance.sh $(BUILD)/conformance $(BUILD)/wharf-oci
