# SPDX-License-Identifier: Apache-2.0
# The only build entry; `make help` lists the targets. Objects and binaries go to $(BUILD).

BUILD    ?= build
CC       ?= cc
CSTD     := -std=gnu17
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Werror=switch-enum -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wpointer-arith
WERROR   ?=
OPT      ?= -O2 -g
SANITIZE ?=
HARDEN   ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
# Named crash points (base/fault.h), and defences that can be switched off (base/defence.h), for tests that kill or attack the real
# thing: `make BUILD=build/faults FAULTS=1`, never installed.
FAULTS   ?=
FAULT_FLAGS := $(if $(FAULTS),-DWHARF_FAULTS)
CPPFLAGS += -D_GNU_SOURCE -I. -I$(BUILD) $(FAULT_FLAGS)
CFLAGS   += $(CSTD) $(WARNINGS) $(WERROR) $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
            -fno-sanitize-recover=all,$(HARDEN))
LDFLAGS  += $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now) -Wl,--as-needed

# Every role links only what it needs: the folders are archives, and each binary names its libraries.
LIBS_LOG := -lrdkafka -lsqlite3 -lsodium
LIBS_UV  := -luv -ljansson

FAULTS_SRC    := base/fault.c base/defence.c # of builds with FAULTS=1
BASE_SRC      := $(filter-out $(if $(FAULTS),,$(FAULTS_SRC)),$(wildcard base/*.c))
EVENTS_SRC    := $(wildcard events/*.c events/log/*.c)
WRITER_SRC    := $(wildcard writer/*.c)
RUNTIME_SRC   := $(wildcard runtime/*.c runtime/decide/*.c runtime/effect/*.c runtime/sandbox/*.c runtime/image/*.c runtime/output/*.c runtime/oci/*.c) \
                 $(filter-out runtime/shim/main.c runtime/shim/init.c,$(wildcard runtime/shim/*.c)) # what both sides share, and for tests
SHIM_SRC      := $(filter-out $(addprefix runtime/shim/,init.c hook.c filter.c scheduling.c),$(wildcard runtime/shim/*.c)) \
                 base/descriptor.c $(if $(FAULTS),$(FAULTS_SRC))
INIT_SRC      := $(addprefix runtime/shim/,init.c hook.c join.c kernel.c mounts.c filesystem.c paths.c copy_up.c sources.c process.c scheduling.c filter.c \
                 terminal.c plan_decode.c) base/descriptor.c $(if $(FAULTS),$(FAULTS_SRC))
PROJECTOR_SRC := $(wildcard projector/*.c projector/query/*.c)
CLIENT_SRC    := $(wildcard cmd/client/*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
ARCHIVES := $(foreach part,runtime writer projector events base,$(BUILD)/lib$(part).a)

ROLES    := $(patsubst cmd/%.c,%,$(wildcard cmd/wharf-*.c))
BINARIES := $(if $(wildcard cmd/wharf.c),$(BUILD)/wharf) $(addprefix $(BUILD)/,$(ROLES)) \
            $(if $(SHIM_SRC),$(BUILD)/wharf-shim)

.DEFAULT_GOAL := all
.PHONY: all help clean
all: $(BINARIES) $(if $(wildcard cmd/wharf.c),$(BUILD)/wharf.1 $(BUILD)/wharf.bash) ## build everything into build/

help: ## list the targets
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define archive
$(BUILD)/lib$(1).a: $(call obj,$(2))
	@mkdir -p $$(@D); rm -f $$@
	@$(AR) rcs $$@ $$^
endef
$(eval $(call archive,base,$(BASE_SRC)))
$(eval $(call archive,events,$(EVENTS_SRC)))
$(eval $(call archive,writer,$(WRITER_SRC)))
$(eval $(call archive,runtime,$(RUNTIME_SRC)))
$(eval $(call archive,projector,$(PROJECTOR_SRC)))
$(eval $(call archive,client,$(CLIENT_SRC)))

# The client starts for every command a person types: libc and jansson only.
$(BUILD)/wharf: $(BUILD)/obj/cmd/wharf.o $(BUILD)/libclient.a $(BUILD)/libevents.a $(BUILD)/libbase.a
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson

# The manual page and the completion come from the client's own tables.
$(BUILD)/wharf.1: $(BUILD)/wharf
	$< man >$@.tmp && mv $@.tmp $@
$(BUILD)/wharf.bash: $(BUILD)/wharf
	$< completion bash >$@.tmp && mv $@.tmp $@

$(BUILD)/wharf-writer: LIBS := $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd
$(BUILD)/wharf-runtime: LIBS := $(LIBS_UV) $(LIBS_LOG) -lhiredis -lmicrohttpd -lseccomp
$(BUILD)/wharf-projector: LIBS := $(LIBS_UV) $(LIBS_LOG) -lhiredis
$(BUILD)/wharf-query: LIBS := $(LIBS_UV) $(LIBS_LOG) -lhiredis -lmicrohttpd
$(BUILD)/wharf-image: LIBS := -larchive -ljansson -lsodium -lseccomp
# The options are read as the client reads them; `ar` members that err.o needs come once more behind it.
$(BUILD)/wharf-oci: LIBS := $(BUILD)/libclient.a $(BUILD)/libbase.a -ljansson -lseccomp
$(BUILD)/wharf-oci: $(BUILD)/libclient.a
# It carries the container's first process within itself.
$(BUILD)/obj/runtime/oci/launch.o: CFLAGS += -Wa,-I$(BUILD)
$(BUILD)/obj/runtime/oci/launch.o: $(BUILD)/wharf-init
$(addprefix $(BUILD)/,$(ROLES)): $(BUILD)/%: $(BUILD)/obj/cmd/%.o $(ARCHIVES)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The shim is static against musl: it starts in a quarter of a millisecond and stays in memory for each container.
# Debian's musl headers lack the kernel's; -idirafter lets <linux/...> through without shadowing musl's own.
SHIM_CC     ?= musl-gcc
SHIM_CFLAGS := $(CSTD) $(WARNINGS) $(WERROR) -Os -g -fno-pie -fstack-protector-strong -D_GNU_SOURCE -I. $(FAULT_FLAGS) \
               -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu
$(BUILD)/obj-shim/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $< (musl)"; $(SHIM_CC) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/wharf-init: $(patsubst %.c,$(BUILD)/obj-shim/%.o,$(INIT_SRC))
	@echo "  LD $@"; $(SHIM_CC) -static -no-pie -Wl,-z,norelro -s -o $@ $^
$(BUILD)/wharf-shim: $(patsubst %.c,$(BUILD)/obj-shim/%.o,$(SHIM_SRC))
	@echo "  LD $@"; $(SHIM_CC) -static -no-pie -Wl,-z,norelro -o $@ $^

# Unit tests: tests/unit/PATH/test_NAME.c is a program of its own. Under `make unit` they run with the address and
# undefined-behaviour sanitizers.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(shell find tests/unit -name 'test_*.c'))
TEST_SUPPORT := $(wildcard tests/support/*.c)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(TEST_SUPPORT)) $(BUILD)/libclient.a $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(BUILD)/libclient.a $(ARCHIVES) \
	    -lcmocka $(LIBS_UV) $(LIBS_LOG) -lmicrohttpd -lhiredis -lseccomp -larchive

.PHONY: unit unit-run
unit: ## unit tests with AddressSanitizer and UBSan
	@scripts/deps.sh unit
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined OPT="-O1 -g" unit-run
unit-run: $(UNIT_TESTS)
	@tests/support/side_by_side.sh -- $(UNIT_TESTS)

# The tests of what runs on libuv's thread pool (the SQLite log), under ThreadSanitizer, which allows no forks.
TSAN_TESTS := events/log/test_log_contract
.PHONY: tsan tsan-run
tsan: ## tests of what uses threads, with ThreadSanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SANITIZE=thread OPT="-O1 -g" tsan-run
tsan-run: $(addprefix $(BUILD)/tests/,$(TSAN_TESTS))
	@set -e; for t in $(TSAN_TESTS); do echo "== $$t (ThreadSanitizer)"; $(BUILD)/tests/$$t; done

# Each kind of test brings its own targets: root (real namespaces), stack (real Kafka and Redis), e2e, fuzz, bench.
include $(wildcard tests/*/*.mk)

.PHONY: deps test-deps test lint format fresh demo
deps: ## install what building and running needs
	@scripts/deps.sh build
test-deps: ## install what the tests need
	@scripts/deps.sh test

test: test-deps ## every test: unit, root, stack, end to end, short fuzzing
	@$(MAKE) --no-print-directory all
	@set -e; for kind in unit tsan $(TEST_TARGETS); do began=$$(date +%s); $(MAKE) --no-print-directory $$kind; \
	    echo "== $$kind: passed in $$(($$(date +%s) - began)) s"; done
	@echo "all tests passed"

lint: ## formatting, structure, static analysis, both compilers
	@clang-format-14 --dry-run -Werror $$(git ls-files '*.c' '*.h' ':!events/def_*.h')
	@tests/lint/structure.sh
	@shellcheck $$(git ls-files '*.sh') .ci/run
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang-14 WERROR=-Werror all
	@git ls-files '*.c' ':!runtime/shim/*' ':!tests/*' | xargs -P 2 -n 8 sh -c 'clang-tidy-14 --quiet \
	    --warnings-as-errors="*" "$$@" -- $(CPPFLAGS) $(CSTD) 2>/dev/null' tidy
format: ## format every source file in place
	@clang-format-14 -i $$(git ls-files '*.c' '*.h')

fresh: ## prove on a bare Debian 12 that nothing but this tree is needed
	@scripts/fresh.sh

demo: ## show what wharf does, in a minute, in a directory of its own
	@scripts/deps.sh demo
	@$(MAKE) --no-print-directory all
	@scripts/demo.sh

# Where things go is the Filesystem Hierarchy Standard's choice; the roles are not for people's PATH.
PREFIX ?= /usr/local
.PHONY: install
install: all ## install below $(PREFIX), with units and configuration below $(DESTDIR)
	install -D -m 755 $(BUILD)/wharf $(DESTDIR)$(PREFIX)/bin/wharf
	for role in $(filter-out wharf,$(notdir $(BINARIES))); do \
	    install -D -m 755 $(BUILD)/$$role $(DESTDIR)$(PREFIX)/libexec/wharf/$$role || exit 1; done
	install -D -m 644 $(BUILD)/wharf.1 $(DESTDIR)$(PREFIX)/share/man/man1/wharf.1
	install -D -m 644 $(BUILD)/wharf.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wharf
	install -D -m 644 packaging/wharf.conf $(DESTDIR)$(PREFIX)/share/doc/wharf/wharf.conf
	for unit in packaging/systemd/*.service; do \
	    install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && sed 's,/usr/bin/wharf,$(PREFIX)/bin/wharf,' $$unit \
	        >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; done
	install -D -m 644 packaging/sysusers.d/wharf.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/wharf.conf
	install -D -m 644 packaging/tmpfiles.d/wharf.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/wharf.conf

clean: ## remove everything that was built
	rm -rf $(BUILD)

# Objects of the tests are kept, so that the next run is quick.
.SECONDARY:

-include $(shell find $(BUILD) -path $(BUILD)/previous -prune -o -type f -name '*.d' -print 2>/dev/null)
