# SPDX-License-Identifier: Apache-2.0
# A real Kafka broker for tests: the jars come through Maven once, tests/stack/kafka.sh runs them.

KAFKA_LIBS := $(BUILD)/kafka/libs

.PHONY: kafka-libs
kafka-libs: $(KAFKA_LIBS)/.complete ## fetch the Kafka broker that the tests use
$(KAFKA_LIBS)/.complete: tests/stack/pom.xml
	WHARF_KAFKA_LIBS=$(KAFKA_LIBS) tests/stack/kafka.sh fetch
