# SPDX-License-Identifier: MIT
# make		build everything into build/
# make run	build, then start Redis, front and worker on port 9100
# make test	all tests
# make install	into PREFIX (/usr/local), below DESTDIR
# make help	the other targets
# Switches: V=1 (whole commands), SANITIZE=address,undefined, WERROR= (for packagers), BUILD=dir,
#	CC=aarch64-linux-gnu-gcc SYSROOT=dir (another machine and its headers and libraries)

BUILD	?= build
CC	?= cc
WERROR	?= -Werror
PORT	?= 9100
VERSION	:= 0.1.0

PREFIX	?= /usr/local
DESTDIR	?=
# Of libufop alone: the command finds its own parts in PREFIX/lib/ufop.
LIBDIR	?= $(PREFIX)/lib
MANDIR	?= $(PREFIX)/share/man

ifdef SANITIZE
SAN	:= -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT	?= -O1
endif
OPT	?= -O2
# The machine that is built for, which need not be the one that builds.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine 2>/dev/null)),)
ARCH	?= -march=x86-64-v2
endif
ifdef SYSROOT
ROOT	:= --sysroot=$(abspath $(SYSROOT))
endif

WARN	:= -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes \
	   -Wmissing-prototypes -Wundef -Wpointer-arith -Wwrite-strings $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -DUFOP_VERSION='"$(VERSION)"' -Iinclude -Ilib -Irouter -Iworker
CFLAGS	?= $(OPT) -g $(ARCH)
# Where a multiplication and an addition can be one instruction, it rounds but
# once: pictures would not come out the same on every machine.
CFLAGS	+= -std=c11 -ffp-contract=off $(WARN) -fPIC -fvisibility=hidden -fstack-protector-strong $(SAN) $(ROOT)
LDFLAGS	+= $(ROOT) $(SAN) -Wl,-z,now,-z,relro

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
LIBS_images	:= -ljpeg -ldeflate -lwebp -lwebpdemux -lwebpmux -ltiff -llcms2 -lfreetype -lharfbuzz -lexif -lm -ldl
LIBS_debug	:=
LIBS_screenshot	:= -ljansson -lcurl -lcrypto -lseccomp -lpthread -lm

FRONT	:= $(BUILD)/ufop-front.so
UFOP	:= $(BUILD)/ufop
SO	:= $(patsubst %,$(BUILD)/services/%.so,$(SERVICES))

LIBUFOP	:= $(BUILD)/libufop.so
# UFOP_ABI of ufop.h: objects built against another one are refused.
ABI	:= $(shell sed -n 's/^.define UFOP_ABI[^0-9]*//p' include/ufop.h)

.PHONY: all run test unit integration faults fuzz bench bench-images bench-screenshot arm64 arm64-unit objects setup install uninstall image image-full deb clean help
.DELETE_ON_ERROR:

# `make run` and `make test` fetch missing Debian packages first; a plain
# `make` never touches the system.
all: $(UFOP) $(FRONT) $(BUILD)/kore.conf $(SO) $(LIBUFOP) $(BUILD)/libufop.a \
	$(BUILD)/libufop.pc
	@:

help:
	@sed -n '2,8p' Makefile
	@echo "targets: all run test unit integration faults fuzz bench bench-images bench-screenshot arm64 arm64-unit objects setup install uninstall image image-full deb clean"

setup:
	@scripts/setup

run: setup
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@exec $(UFOP) up -p $(PORT)

test:
	@scripts/setup all
	@tests/run

unit:
	@tests/run unit

integration:
	@tests/run integration

faults:
	@tests/run integration faults queue worker input

# Every fuzzer for FUZZ_SECONDS, with clang's libFuzzer.
FUZZ_SECONDS ?= 60
fuzz:
	@$(MAKE) --no-print-directory CC=clang WERROR= BUILD=$(BUILD)-fuzz \
	    SANITIZE=address,undefined,fuzzer-no-link fuzz-programs
	@scripts/fuzz $(BUILD)-fuzz $(FUZZ_SECONDS)

bench: setup
	@$(MAKE) --no-print-directory all
	@scripts/bench

bench-images:
	@scripts/bench-images

bench-screenshot:
	@scripts/bench-screenshot

# Into $(BUILD)-arm64/, with Debian's cross compiler; the tests run in qemu.
arm64:
	@CROSS_BUILD=$(BUILD)-arm64 scripts/cross
arm64-unit:
	@CROSS_BUILD=$(BUILD)-arm64 scripts/cross unit

$(UFOP): $(call obj,$(LIB_SRC) $(ROUTER_SRC) $(WORKER_SRC) $(CLI_SRC)) $(BUILD)/templates.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker)

# What createproject and its like write.
$(BUILD)/templates.c: scripts/embed $(shell find scripts/templates -type f)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sh scripts/embed scripts/templates > $@
$(BUILD)/templates.o: $(BUILD)/templates.c cli/templates.h
	$(Q)$(CC) $(CPPFLAGS) -Icli $(CFLAGS) -c -o $@ $<

# What a handler calls is in the process that loads it; the library is for
# programs that link a handler themselves, as a test of it would.
$(LIBUFOP): $(call obj,$(LIB_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libufop.so.$(ABI) -o $@ $^ $(LIBS_lib)
$(BUILD)/libufop.a: $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^
# For projects that are built against this tree.
$(BUILD)/libufop.pc: scripts/libufop.pc.in Makefile
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@PREFIX@|$(CURDIR)|; s|@LIBDIR@|$(abspath $(BUILD))|; s|@VERSION@|$(VERSION)|' $< > $@
$(BUILD)/ufop.bash: scripts/completion $(UFOP)
	$(call say,GEN,$@)
	$(Q)sh scripts/completion $(UFOP) > $@
$(BUILD)/ufop.ini.5: scripts/manual-settings $(UFOP) $(SO)
	$(call say,GEN,$@)
	$(Q)sh scripts/manual-settings $(UFOP) "$(SERVICES)" > $@

# Kore's features change the layout of its structs: its flags are mandatory.
# nodelete keeps our statics across Kore's reload on SIGHUP.
KORE_FLAGS = $(shell cat $(SYSROOT)/usr/share/kore/features 2>/dev/null)
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

# The egress guard and the sandbox are the worker's own; a service shares no
# symbols with the program that loads it.
$(BUILD)/services/screenshot.so: $(call obj,worker/egress.c worker/sandbox.c \
	lib/arena.c lib/err.c lib/reqid.c lib/str.c lib/tree.c)

# Pixel loops earn -O3; stb is other people's code and is compiled apart, with
# a pattern where it would read its stack unwritten (see stb.c).
$(BUILD)/worker/handlers/images/%.o: OPT = -O3
$(BUILD)/worker/handlers/images/%.o: CPPFLAGS += -isystem $(SYSROOT)/usr/include/freetype2
$(BUILD)/worker/handlers/images/stb.o: WARN =
$(BUILD)/worker/handlers/images/stb.o: CFLAGS += -ftrivial-auto-var-init=pattern

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# One program of all unit tests: every non-static function named test_...
# is a test.  Built by `make SANITIZE=... BUILD=... unit-program`.
.PHONY: unit-program
unit-program: $(BUILD)/unit $(SO)
$(BUILD)/tests/unit/%.o: CPPFLAGS += -Itests/unit -Iworker/handlers/images \
	-Iworker/handlers/screenshot
$(BUILD)/tests/unit/%.o: CFLAGS += -Wno-missing-prototypes
$(BUILD)/tests/unit/list.c: $(UNIT_SRC)
	@mkdir -p $(@D)
	@sh tests/unit/list.sh $(UNIT_SRC) > $@
$(BUILD)/tests/unit/list.o: $(BUILD)/tests/unit/list.c
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -c -o $@ $<
# Each service file defines ufop_service: one of them can be linked in.
UNIT_HANDLERS := $(wildcard worker/handlers/images/*.c) $(filter-out \
	%/screenshot.c,$(wildcard worker/handlers/screenshot/*.c))
# Of the front only what needs no Kore.
UNIT_APP := app/chunked.c app/head.c app/query.c app/scribe.c
$(BUILD)/unit: $(call obj,$(UNIT_SRC)) $(BUILD)/tests/unit/list.o \
		$(call obj,$(LIB_SRC) $(ROUTER_SRC) $(filter-out %/main.c,$(WORKER_SRC)) $(UNIT_HANDLERS) $(UNIT_APP))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker) $(LIBS_images) $(LIBS_screenshot)

# Every file compiled and nothing linked: needs headers, but no library.
objects: $(BUILD)/templates.o $(BUILD)/tests/unit/list.o \
	$(call obj,$(LIB_SRC) $(ROUTER_SRC) $(APP_SRC) $(WORKER_SRC) $(CLI_SRC) \
	    $(wildcard worker/handlers/*/*.c) $(UNIT_SRC) $(wildcard tests/fuzz/*.c))

FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz-%,$(wildcard tests/fuzz/*.c))
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ)
$(BUILD)/tests/fuzz/%.o: CPPFLAGS += -Iworker/handlers/images -isystem $(SYSROOT)/usr/include/freetype2
$(BUILD)/fuzz-%: $(BUILD)/tests/fuzz/%.o $(call obj,$(LIB_SRC) $(ROUTER_SRC) \
		$(WORKER_SRC) $(wildcard worker/handlers/images/*.c))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker) $(LIBS_images)

INSTALL	?= install
to	:= $(DESTDIR)$(PREFIX)
# What is installed tells where it will lie, not where it was built.
install: all $(BUILD)/ufop.bash $(BUILD)/ufop.ini.5
	$(INSTALL) -d $(to)/bin $(to)/lib/ufop/services $(to)/include \
	    $(to)/share/ufop $(to)/share/bash-completion/completions \
	    $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7
	$(INSTALL) -m 755 $(UFOP) $(to)/bin/ufop
	$(INSTALL) -m 644 $(FRONT) $(to)/lib/ufop/
	$(INSTALL) -m 644 $(SO) $(to)/lib/ufop/services/
	sed 's|@FRONT@|$(PREFIX)/lib/ufop/ufop-front.so|' kore.conf > $(to)/lib/ufop/kore.conf
	$(INSTALL) -m 644 tests/data/*.jpg tests/data/README $(to)/share/ufop/
	$(INSTALL) -m 644 include/ufop.h $(to)/include/
	$(INSTALL) -m 755 $(LIBUFOP) $(DESTDIR)$(LIBDIR)/libufop.so.$(ABI)
	ln -sf libufop.so.$(ABI) $(DESTDIR)$(LIBDIR)/libufop.so
	$(INSTALL) -m 644 $(BUILD)/libufop.a $(DESTDIR)$(LIBDIR)/
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
	    scripts/libufop.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libufop.pc
	$(INSTALL) -m 644 $(BUILD)/ufop.bash $(to)/share/bash-completion/completions/ufop
	$(INSTALL) -m 644 docs/*.1 $(DESTDIR)$(MANDIR)/man1/
	$(INSTALL) -m 644 $(BUILD)/ufop.ini.5 $(DESTDIR)$(MANDIR)/man5/
	$(INSTALL) -m 644 docs/*.7 $(DESTDIR)$(MANDIR)/man7/

uninstall:
	rm -rf $(to)/bin/ufop $(to)/lib/ufop $(to)/share/ufop \
	    $(to)/share/bash-completion/completions/ufop $(to)/include/ufop.h \
	    $(DESTDIR)$(LIBDIR)/libufop.* $(DESTDIR)$(LIBDIR)/pkgconfig/libufop.pc \
	    $(DESTDIR)$(MANDIR)/man1/ufop.1 $(DESTDIR)$(MANDIR)/man5/ufop.ini.5 \
	    $(DESTDIR)$(MANDIR)/man7/ufop-handler.7

# The images that projects stand on, under the names their Dockerfile has; full
# is the one with Chromium.
DOCKER	?= docker
image:
	$(DOCKER) build -t ufop:$(VERSION) .
image-full:
	$(DOCKER) build -t ufop:$(VERSION)-full --target full .

# Debian packages into DEB_DIR, from a copy: what is built here stays.
DEB_DIR	?= $(BUILD)/deb
DEB_SRC	:= $(DEB_DIR)/ufop-$(VERSION)
deb:
	rm -rf $(DEB_SRC)
	mkdir -p $(DEB_SRC)
	tar -cf - --exclude=./.git --exclude='./build*' . | tar -xf - -C $(DEB_SRC)
	deps=$$(awk '$$1 ~ /^(lib.*-dev|kore)$$/ { print $$1 }' scripts/packages* | \
	    sort -u | paste -s -d, -) && \
	    sed "s/@BUILD_DEPENDS@/$$deps/" debian/control.in > $(DEB_SRC)/debian/control
	cd $(DEB_SRC) && env -u MAKEFLAGS -u MAKELEVEL DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -j"$$(nproc)" -us -uc -b
	rm -rf $(DEB_SRC)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-arm64

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
