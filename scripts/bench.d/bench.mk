# SPDX-License-Identifier: MIT
# What the benchmark compiles for itself.  To be read behind the Makefile, so
# that it is built by the same flags:
#	make -f Makefile -f scripts/bench.d/bench.mk bench-programs
# or bench-images-programs

BENCH	:= $(BUILD)/bench

.PHONY: bench-programs bench-images-programs
bench-programs: $(BENCH)/loop $(BENCH)/direct.so
bench-images-programs: $(BENCH)/loop $(BENCH)/vips

# Not under $(BUILD)/scripts/bench.d: make would take that name for a list of
# dependencies.
$(BENCH)/%.o: scripts/bench.d/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/loop: $(BENCH)/loop.o $(BENCH)/parallel.o $(call obj,$(WORKER_SRC) $(LIB_SRC) $(ROUTER_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS_lib) $(LIBS_router) $(LIBS_worker)

$(BENCH)/direct.o: CPPFLAGS += $(KORE_FLAGS)
$(BENCH)/direct.so: $(BENCH)/direct.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -o $@ $^

# Its headers are other people's code.
VIPS_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags vips))
$(BENCH)/images/vips.o: CPPFLAGS += $(VIPS_CFLAGS) -Iscripts/bench.d
$(BENCH)/vips: $(BENCH)/images/vips.o $(BENCH)/parallel.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs vips)
