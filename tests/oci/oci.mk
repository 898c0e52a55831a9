# SPDX-License-Identifier: Apache-2.0
# wharf-oci as the runtime of others: podman (with conmon) and containerd, as Debian has them. Not a part of `make test`.
.PHONY: podman-test
podman-test: $(BUILD)/wharf-oci ## podman and containerd with wharf-oci as their runtime (as root)
	@scripts/deps.sh podman
	@WHARF_BUILD=$(abspath $(BUILD)) bats tests/oci
