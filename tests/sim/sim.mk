# SPDX-License-Identifier: Apache-2.0
# The deterministic simulation: the production objects as they are, but for those behind the seams. See README.md.

SIM_SEAMS := base/clock.c base/say.c base/redis.c base/http_server.c base/http_socket.c base/http_stream.c base/http_upgrade.c base/http_request.c \
             base/role.c base/config.c base/fs.c base/actor.c events/log/log_memory.c projector/rebuild.c \
             $(wildcard events/log/log_sqlite*.c events/log/log_kafka*.c)
SIM_PRODUCTION := $(filter-out $(SIM_SEAMS), $(BASE_SRC) $(EVENTS_SRC) $(WRITER_SRC) $(wildcard projector/*.c) \
                  runtime/worker.c runtime/worker_access.c runtime/worker_append.c runtime/worker_snapshot.c \
                  $(wildcard runtime/decide/*.c runtime/effect/*.c))

$(BUILD)/sim/sim: $(call obj,$(SIM_PRODUCTION) $(wildcard tests/sim/*.c))
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=getpid,--wrap=uname -o $@ $^ -ljansson -lsodium -lhiredis

SIM_SEEDS ?= 20000
SIM_JOBS  ?= $(shell nproc)
.PHONY: sim sim-test sim-long sim-mutations
sim: $(BUILD)/sim/sim ## simulated runs with faults: SEED=n for one (STEPS=n, KEEP=3,7,9), else SIM_SEEDS of them
	@$< $(if $(SEED),--seed=$(SEED),--seeds=$(SIM_SEEDS) --from=$(or $(SIM_FROM),1) --jobs=$(SIM_JOBS)) \
	    $(if $(STEPS),--steps=$(STEPS)) $(if $(KEEP),--keep=$(KEEP)) $(if $(VERBOSE),--verbose)

sim-mutations: $(BUILD)/sim/sim ## every seeded bug of tests/sim/mutations is caught by the simulation
	@tests/sim/mutate.sh $(BUILD) $(CC)

# In `make test`, which is for everybody to wait for; sim-long is for CI.
sim-test: $(BUILD)/sim/sim ## the simulation: 6,000 seeds, replay, sanitizers
	@$< --twice=50
	@$(MAKE) --no-print-directory SIM_SEEDS=6000 sim
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined OPT="-O1 -g" SIM_SEEDS=300 sim
sim-long: $(BUILD)/sim/sim ## the simulation: 20,000 seeds, and every seeded bug
	@$(MAKE) --no-print-directory SIM_SEEDS=20000 sim
	@$(MAKE) --no-print-directory sim-mutations
TEST_TARGETS += sim-test
