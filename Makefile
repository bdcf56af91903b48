# SPDX-License-Identifier: MIT
# make		build everything into build/
# make run	build, then start Redis, front and worker on port 9100
# make test	all tests
# make help	the other targets
# Switches: V=1 (whole commands), SANITIZE=address,undefined, WERROR= (for packagers), BUILD=dir

BUILD	?= build
CC	?= cc
WERROR	?= -Werror
PORT	?= 9100
VERSION	:= 0.1.0

ifdef SANITIZE
SAN	:= -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT	?= -O1
endif
OPT	?= -O2
ifeq ($(shell uname -m),x86_64)
ARCH	?= -march=x86-64-v2
endif

WARN	:= -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes \
	   -Wmissing-prototypes -Wundef -Wpointer-arith -Wwrite-strings $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -DUFOP_VERSION='"$(VERSION)"' -Iinclude -Ilib -Irouter -Iworker
CFLAGS	?= $(OPT) -g $(ARCH)
CFLAGS	+= -std=c11 $(WARN) -fPIC -fvisibility=hidden -fstack-protector-strong $(SAN)
LDFLAGS	+= $(SAN) -Wl,-z,now,-z,relro

V	?= 0
Q	:= $(if $(filter 1,$(V)),,@)
say	 = $(if $(filter 1,$(V)),@:,@printf '  %-5s %s\n' $(1) $(2))

obj	 = $(patsubst %.c,$(BUILD)/%.o,$(1))

LIB_SRC		:= $(wildcard lib/*.c)
ROUTER_SRC	:= $(wildcard router/*.c)
APP_SRC		:= $(wildcard app/*.c)
WORKER_SRC	:= $(wildcard worker/*.c)
CLI_SRC		:= $(wildcard cli/*.c)
SERVICES	:= $(notdir $(wildcard worker/handlers/*))
UNIT_SRC	:= $(wildcard tests/unit/*.c)

# What each part links; a service's own libraries are LIBS_<service>.
LIBS_lib	:= -lhiredis -ljansson -linih
LIBS_router	:= -lpcre2-8 -ldl
LIBS_worker	:= -lcurl -lseccomp -lpthread
LIBS_images	:= -ljpeg -ldeflate -lexif -lm
LIBS_debug	:=

FRONT	:= $(BUILD)/ufop-front.so
UFOP	:= $(BUILD)/ufop
SO	:= $(patsubst %,$(BUILD)/services/%.so,$(SERVICES))

.PHONY: all run test unit integration bench setup clean help
.DELETE_ON_ERROR:

# `make run` and `make test` fetch missing Debian packages first; a plain
# `make` never touches the system.
all: $(UFOP) $(FRONT) $(BUILD)/kore.conf $(SO)

help:
	@sed -n '2,6p' Makefile
	@echo "targets: all run test unit integration bench setup clean"

setup:
	@scripts/setup

run: setup
	@$(MAKE) --no-print-directory all
	@exec $(UFOP) up -p $(PORT)

test: setup
	@tests/run

unit:
	@tests/run unit

integration:
	@tests/run integration

bench: setup
	@$(MAKE) --no-print-directory all
	@scripts/bench

$(UFOP): $(call obj,$(LIB_SRC) $(ROUTER_SRC) $(WORKER_SRC) $(CLI_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker)

# Kore's features change the layout of its structs: its flags are mandatory.
# nodelete keeps our statics across Kore's reload on SIGHUP.
KORE_FLAGS = $(shell cat /usr/share/kore/features 2>/dev/null)
$(BUILD)/app/%.o: CPPFLAGS += $(KORE_FLAGS)

$(FRONT): $(call obj,$(APP_SRC) $(LIB_SRC) $(ROUTER_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-z,nodelete -o $@ $^ $(LIBS_lib) $(LIBS_router)

$(BUILD)/kore.conf: kore.conf
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@FRONT@|$(abspath $(FRONT))|' $< > $@

define service
$(BUILD)/services/$(1).so: $$(call obj,$$(sort $$(wildcard worker/handlers/$(1)/*.c)))
	$$(call say,LD,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -shared -o $$@ $$^ $$(LIBS_$(1))
$(BUILD)/worker/handlers/$(1)/%.o: CPPFLAGS += -Iworker/handlers/$(1)
endef
$(foreach s,$(SERVICES),$(eval $(call service,$(s))))

# Pixel loops earn -O3; stb is other people's code and is compiled apart.
$(BUILD)/worker/handlers/images/%.o: OPT = -O3
$(BUILD)/worker/handlers/images/stb.o: WARN =

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# One program of all unit tests: every non-static function named test_...
# is a test.  Built by `make SANITIZE=... BUILD=... unit-program`.
.PHONY: unit-program
unit-program: $(BUILD)/unit $(SO)
$(BUILD)/tests/unit/%.o: CPPFLAGS += -Itests/unit -Iworker/handlers/images
$(BUILD)/tests/unit/%.o: CFLAGS += -Wno-missing-prototypes
$(BUILD)/tests/unit/list.c: $(UNIT_SRC)
	@mkdir -p $(@D)
	@sh tests/unit/list.sh $(UNIT_SRC) > $@
$(BUILD)/tests/unit/list.o: $(BUILD)/tests/unit/list.c
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -c -o $@ $<
UNIT_HANDLERS := $(wildcard worker/handlers/images/*.c)
$(BUILD)/unit: $(call obj,$(UNIT_SRC)) $(BUILD)/tests/unit/list.o \
		$(call obj,$(LIB_SRC) $(ROUTER_SRC) $(filter-out %/main.c,$(WORKER_SRC)) $(UNIT_HANDLERS))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker) $(LIBS_images)

clean:
	rm -rf $(BUILD) $(BUILD)-asan

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
