# SPDX-License-Identifier: Apache-2.0
# A real Kafka broker for tests: the jars come through Maven once, tests/stack/kafka.sh runs them.

KAFKA_LIBS := $(BUILD)/kafka/libs

.PHONY: kafka-libs
kafka-libs: $(KAFKA_LIBS)/.complete ## fetch the Kafka broker that the tests use
$(KAFKA_LIBS)/.complete: tests/stack/pom.xml
	TEST_KAFKA_LIBS=$(KAFKA_LIBS) tests/stack/kafka.sh fetch

# One broker for the contract that every log keeps, one that the log's own tests may stop, and one that the whole stack runs on.
KAFKA_TESTS := $(BUILD)/tests/events/log/test_log_contract $(BUILD)/tests/events/log/test_log_kafka
.PHONY: kafka-test
kafka-test: $(KAFKA_LIBS)/.complete $(KAFKA_TESTS) all ## the log and the whole stack on a real Kafka broker (root)
	@set -e; export TEST_KAFKA_LIBS=$(abspath $(KAFKA_LIBS)); \
	    dir=$$(mktemp -d /tmp/wharf-kafka.XXXXXX); \
	    trap 'tests/stack/kafka.sh stop $$dir/broker >/dev/null 2>&1 || true; rm -rf $$dir' EXIT; \
	    tests/stack/kafka.sh start $$dir/broker; \
	    for t in $(KAFKA_TESTS); do echo "== $${t#$(BUILD)/} (Kafka)"; \
	        WHARF_TEST_KAFKA=$$(cat $$dir/broker/address) WHARF_TEST_KAFKA_DIR=$$dir/broker $$t; done; \
	    WHARF_BUILD=$(abspath $(BUILD)) bats tests/stack/kafka_stack.bats
TEST_TARGETS += kafka-test
