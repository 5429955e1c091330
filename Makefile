# SPAN: libspan, its programs, the NCCL plugin, tests, benches and examples. `make help` lists targets and knobs.

# --- knobs -------------------------------------------------------------------------------

#: O=build          where everything is built
#: SAN=address,...  build with sanitizers, in a folder of its own
#: V=1              show the commands
#: CC AR OBJCOPY CFLAGS LDFLAGS PKG_CONFIG   as usual
#: prefix bindir libdir includedir mandir DESTDIR   as usual
#: JOBS=2           how many jobs at once without make -j; default: one a processor
#: ARGS='--help'    arguments of the trainer (run); of the example, ARGS=8 (example)
#: TEXT=path        what it learns to read (run)
#: FILTER='order/*' only the Criterion tests that match, as suite/name; no programs, no
#:                  scripts (test, test-full, test-asan)
#: SECONDS=20       how long a reader is fuzzed (fuzz)
#: VERSIONS=2.28.9  of NCCL (check-nccl); default: all it knows
#: FOR='run test'   of what the needs are installed (deps): run test check peers
comma := ,
O ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
CFLAGS ?= -O2 -g
FOR ?= run test
SECONDS ?= 20
prefix ?= /usr/local
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
PKG_CONFIG ?= pkg-config
OBJCOPY ?= $(shell $(CC) -print-prog-name=objcopy)
JOBS ?= $(shell nproc 2>/dev/null || echo 1)

# --- version, from the public header -----------------------------------------------------

version = $(shell sed -n 's/^.define SPAN_VERSION_$(1) \([0-9]*\)/\1/p' topo/span_status.h)
MAJOR := $(call version,MAJOR)
MINOR := $(call version,MINOR)
VERSION := $(MAJOR).$(MINOR).$(call version,PATCH)
# Before 1.0 a minor version may break the ABI, so it is part of the soname.
SONAME := libspan.so.$(MAJOR)$(if $(filter 0,$(MAJOR)),.$(MINOR))

# --- sources -----------------------------------------------------------------------------

X86 := $(findstring x86_64,$(shell $(CC) -dumpmachine 2>/dev/null))
ISA_SRC := $(addprefix attention/kernels/,avx2.c avx512.c)
TOPO := topo $(addprefix topo/,graph read read/hwloc json host write picture lint ring cost \
          order nccl nccl/search)
LIB_SRC := $(wildcard $(TOPO:%=%/*.c) attention/*.c) \
           $(filter-out $(if $(X86),,$(ISA_SRC)),$(wildcard attention/kernels/*.c))
HEADERS := $(wildcard topo/span_*.h attention/span_*.h)

# Programs: a folder each, over the library.
TOPO_TOOL_SRC := $(wildcard topo/tool/*.c)
TUNE_SRC := $(wildcard plugin/tune/*.c)

# The plugin: its own sources and what it carries of topo, nothing that needs a library.
PLUGIN_SRC := $(wildcard plugin/*.c)
PLUGIN_CARRIES := $(wildcard topo/status.c topo/nccl/profile*.c topo/nccl/nccl_model*.c)

# Tests of one Criterion runner; a file not named test_*.c is a helper, which the plain
# programs (those that run without Criterion, under ThreadSanitizer and valgrind) use as well.
TEST_SRC := $(wildcard tests/topo/*.c tests/attention/*.c tests/plugin/*.c tests/double/*.c)
HELPER_SRC := $(foreach f,$(TEST_SRC),$(if $(filter test_%,$(notdir $f)),,$f))
PLAIN_SRC := $(wildcard tests/tsan/*.c)
SCRIPTS := ext-examples/train/test_train.sh $(sort $(wildcard tests/programs/*.sh))
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
BENCH_HELPER := $(filter-out $(BENCH_SRC),$(wildcard tests/bench/*.c))
TRAIN_SRC := $(wildcard ext-examples/train/*.c)
EXAMPLE_SRC := ext-examples/attention/attention.c

objects = $(patsubst %.c,$(O)/obj/%.o,$(1))
PLAIN := $(patsubst tests/tsan/%.c,$(O)/tests/%,$(PLAIN_SRC))
BENCH := $(patsubst tests/bench/%.c,$(O)/bench/%,$(BENCH_SRC))
RUNNER := $(O)/tests/runner
TRAINER := $(O)/span-train
EXAMPLE := $(O)/span-attention
STAGE := $(abspath $(O))/stage
LIBS := $(O)/libspan.a $(O)/libspan.so
PLUGIN := $(if $(PLUGIN_SRC),$(O)/libnccl-tuner-span.so)
PROGRAMS := $(if $(TOPO_TOOL_SRC),$(O)/span-topo) $(if $(TUNE_SRC),$(O)/span-tune)
MAN := $(wildcard topo/span-topo.1 plugin/tune/span-tune.1)

# --- flags -------------------------------------------------------------------------------

# -ffp-contract=off: which products fuse is decided in the source, never by the compiler.
STRICT := -std=gnu11 -Wall -Wextra -ffp-contract=off -fvisibility=hidden -pthread
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS = $(CFLAGS) $(STRICT) $(SANITIZE)
ALL_LDFLAGS = -pthread $(SANITIZE) $(LDFLAGS)
HWLOC_CFLAGS = $(shell $(PKG_CONFIG) --cflags hwloc)
LIB_LDLIBS = $(shell $(PKG_CONFIG) --libs hwloc expat jansson) -ldl -lm
CRITERION = $(shell $(PKG_CONFIG) --libs criterion)
STAGED = PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig:$$PKG_CONFIG_PATH $(PKG_CONFIG)

# Neither of the two -fno changes a bit: kernels read no errno and no exception flag.
$(O)/obj/attention/kernels/%.o: OWN = -O3 -fno-math-errno -fno-trapping-math $(ISA)
$(O)/obj/attention/kernels/avx2.o: ISA = -mavx2 -mfma -mf16c -mpclmul
$(O)/obj/attention/kernels/avx512.o: ISA = -mavx512f -mavx512dq -mavx512vl -mavx512bw \
	-mavx2 -mfma -mf16c -mpclmul -mprefer-vector-width=512
$(O)/obj/topo/host/discover%.o: OWN = $(HWLOC_CFLAGS)
$(O)/obj/tests/%.o: OWN = -DSPAN_TEST_DATA='"$(CURDIR)/tests/data"'

# --- products ----------------------------------------------------------------------------

Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s %s\n' $(1) $(2))
MAKE_AGAIN = +@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

all: $(LIBS) $(PROGRAMS) $(PLUGIN) ## the library, the programs, the plugin (default)
trainer: $(TRAINER) ## the training example alone
example: $(EXAMPLE) ## attention on 1 and on 4 ranks: the first program to copy from
	@$(EXAMPLE) $(ARGS)

$(O)/obj/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -I. $(OWN) -MMD -MP -c $< -o $@

# Anything that changes a command line makes everything new.
COMMANDS = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(SONAME)
$(O)/flags: always
	@mkdir -p $(@D)
	@echo '$(COMMANDS)' | cmp -s - $@ || echo '$(COMMANDS)' >$@

# Hidden names are hidden in the archive as well: one object, in which they are local. Names of
# bytecode cannot be made so: GCC's -flto ends here.
$(O)/libspan.a: $(call objects,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(findstring -flto,$(CFLAGS)),-flinker-output=nolto-rel) -r -nostdlib \
		$^ -o $(O)/span.o
	$(Q)$(OBJCOPY) --localize-hidden $(O)/span.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(O)/span.o

# The same objects for our programs and tests, which see what is hidden.
$(O)/libspan-inside.a: $(call objects,$(LIB_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/libspan.so: $(call objects,$(LIB_SRC))
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME) $(if $(SAN),,-Wl,-z,defs) $(ALL_LDFLAGS) $^ \
		-o $@ $(LIB_LDLIBS)
	$(Q)ln -sf libspan.so $(O)/$(SONAME)

define link
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(1) $(LIB_LDLIBS)
endef

$(O)/span-topo: $(call objects,$(TOPO_TOOL_SRC)) $(O)/libspan-inside.a
	$(call link)
$(O)/span-tune: $(call objects,$(TUNE_SRC) $(PLUGIN_SRC)) $(O)/libspan-inside.a
	$(call link)

# NCCL's symbols and nothing else; everything resolved at load time.
$(O)/libnccl-tuner-span.so: $(call objects,$(PLUGIN_SRC) $(PLUGIN_CARRIES)) plugin/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=plugin/exports.map -Wl,-z,now \
		$(if $(SAN),,-Wl,-z,defs) $(ALL_LDFLAGS) $(filter %.o,$^) -o $@ -ldl -lm
	$(Q)ln -sf $(@F) $(O)/libnccl-profiler-span.so

$(RUNNER): $(call objects,$(TEST_SRC) $(PLUGIN_SRC)) $(O)/libspan-inside.a
	$(call link,$(CRITERION))

# An archive, so that a plain program gets only what it calls, and no Criterion.
$(O)/tests/helpers.a: $(call objects,$(HELPER_SRC) $(PLUGIN_SRC))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(PLAIN): $(O)/tests/%: $(O)/obj/tests/tsan/%.o $(O)/tests/helpers.a $(O)/libspan-inside.a
	$(call link)

$(BENCH): $(O)/bench/%: $(O)/obj/tests/bench/%.o $(call objects,$(BENCH_HELPER)) \
		$(O)/tests/helpers.a $(O)/libspan-inside.a
	$(call link)

# The examples see nothing but what `make install` puts down.
$(STAGE)/lib/pkgconfig/span.pc: $(LIBS) $(HEADERS) $(PROGRAMS) $(PLUGIN)
	@rm -rf $(STAGE)
	@$(MAKE) --no-print-directory install prefix=$(STAGE) libdir=$(STAGE)/lib \
		includedir=$(STAGE)/include bindir=$(STAGE)/bin mandir=$(STAGE)/share/man \
		DESTDIR= >/dev/null

$(TRAINER): $(TRAIN_SRC) $(wildcard ext-examples/train/*.h) $(STAGE)/lib/pkgconfig/span.pc
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(TRAIN_SRC) -o $@ $$($(STAGED) --cflags --libs span openblas) \
		$(ALL_LDFLAGS) -Wl,-rpath,$(STAGE)/lib -lm

$(EXAMPLE): $(EXAMPLE_SRC) $(STAGE)/lib/pkgconfig/span.pc
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(EXAMPLE_SRC) -o $@ $$($(STAGED) --cflags --libs span) \
		$(ALL_LDFLAGS) -Wl,-rpath,$(STAGE)/lib

-include $(patsubst %.o,%.d,$(call objects,$(LIB_SRC) $(TEST_SRC) $(PLAIN_SRC) $(BENCH_SRC) \
	$(PLUGIN_SRC) $(TOPO_TOOL_SRC) $(TUNE_SRC)))

# --- run, test, bench --------------------------------------------------------------------

run: deps ## train a transformer on real text, on 1 and on 4 ranks
	$(MAKE_AGAIN) now-run
test: deps ## the tests
	$(MAKE_AGAIN) now-test
test-full: deps ## the same with every combination of parameters
	$(MAKE_AGAIN) SPAN_TEST_FULL=1 now-test
bench: deps ## figures of speed, and bench.json in the build folder
	$(MAKE_AGAIN) now-bench
bench-peers: deps ## the same work by PyTorch, beside ours
	@$(MAKE) --no-print-directory deps FOR='run test peers'
	$(MAKE_AGAIN) now-bench-peers

deps: ## install what is missing
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' tests/deps.sh $(FOR)

now-run: $(TRAINER)
	@$(TRAINER) --svg $(O)/loss.svg $(if $(TEXT),--text '$(TEXT)') $(ARGS)

now-test: export SPAN_TEST_FULL := $(SPAN_TEST_FULL)
now-test: export SPAN_TEST_FILTER := $(FILTER)
now-test: $(RUNNER) $(if $(FILTER),,$(PLAIN) $(TRAINER) $(PROGRAMS) $(PLUGIN) $(O)/libspan.so)
	@CC='$(CC) $(SANITIZE)' tests/run -o $(O)/logs "criterion $(RUNNER)" \
		$(if $(FILTER),,$(PLAIN:%="program %") $(SCRIPTS:%="script % $(O)"))

now-bench-peers: $(O)/libspan.so
	@tests/bench/peers.sh $(O)

now-bench: $(BENCH)
	@rm -f $(O)/bench.json
	@for bench in $(BENCH); do $$bench $(O)/bench.json || exit; done

# --- check -------------------------------------------------------------------------------

again = script $(MAKE) --no-print-directory
check: deps ## all of the checks below; a tool that cannot be installed is skipped by name
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' tests/deps.sh run test check || :
	+@O=$(O) tests/run -o $(O)/logs-check "$(again) layers" "$(again) format-check" \
		"$(again) static" "$(again) test-install" "$(again) test-asan" \
		"$(again) test-tsan" "$(again) test-valgrind" "$(again) fuzz SECONDS=5"

layers: all ## who includes what; what is exported; headers alone in C and C++; tests by name
	@CC='$(CC)' tests/layers.sh $(O) $(HEADERS)
format: ## rewrite the sources as .clang-format says
	@tests/format.sh --rewrite
format-check: ## whether format would change anything
	@tests/format.sh
static: ## static analysis: cppcheck and the second compiler
	@tests/static.sh $(LIB_SRC) $(PLUGIN_SRC) $(TOPO_TOOL_SRC) $(TUNE_SRC) $(TRAIN_SRC) \
		$(wildcard ext-examples/train/test/*.c) \
		$(EXAMPLE_SRC)

test-install: $(LIBS) ## install, build against it in C and C++, uninstall
	@MAKE='$(MAKE)' CC='$(CC)' tests/install/run.sh $(O)

test-asan: ## the tests under AddressSanitizer and UBSan
	$(MAKE_AGAIN) O=$(O)-address-undefined SAN=address,undefined now-test
test-tsan: ## the plain programs under ThreadSanitizer
	$(MAKE_AGAIN) O=$(O)-thread SAN=thread now-plain
now-plain: $(PLAIN)
	@tests/run -o $(O)/logs $(PLAIN:%="program %")

fuzz: all ## every reader under libFuzzer, SECONDS each
	@CC=clang tests/fuzz/run.sh $(O) $(SECONDS)
check-nccl: all ## the plugin in released NCCLs, VERSIONS of them (large downloads)
	@tests/nccl/check.sh $(O) $(VERSIONS)

test-valgrind: $(PLAIN) $(EXAMPLE) ## the plain programs and the example under valgrind
	@tests/run -o $(O)/logs $(PLAIN:%="valgrind %") "valgrind $(EXAMPLE)"

# --- install -----------------------------------------------------------------------------

HEADER_DIR := $(DESTDIR)$(includedir)/span
LIB_DIR := $(DESTDIR)$(libdir)
MAN_DIR := $(DESTDIR)$(mandir)/man1
PROFILE_DIR := $(DESTDIR)$(prefix)/share/span/profiles
PROFILES := $(wildcard plugin/profiles/*.profile)

install: all ## libraries, headers, programs, plugin, man pages into prefix
	@install -d $(LIB_DIR)/pkgconfig $(HEADER_DIR)/topo $(HEADER_DIR)/attention \
		$(DESTDIR)$(bindir) $(MAN_DIR) $(PROFILE_DIR)
	@install -m 644 $(filter topo/%,$(HEADERS)) $(HEADER_DIR)/topo
	@install -m 644 $(filter attention/%,$(HEADERS)) $(HEADER_DIR)/attention
	@install -m 644 $(O)/libspan.a $(LIB_DIR)
	@install -m 755 $(O)/libspan.so $(LIB_DIR)/libspan.so.$(VERSION)
	@ln -sf libspan.so.$(VERSION) $(LIB_DIR)/$(SONAME)
	@ln -sf $(SONAME) $(LIB_DIR)/libspan.so
	@$(foreach p,$(PROGRAMS),install -m 755 $p $(DESTDIR)$(bindir);)
	@$(foreach p,$(PLUGIN),install -m 755 $p $(LIB_DIR); \
		ln -sf $(notdir $p) $(LIB_DIR)/libnccl-profiler-span.so;)
	@$(foreach m,$(MAN),install -m 644 $m $(MAN_DIR);)
	@$(foreach f,$(PROFILES),install -m 644 $f $(PROFILE_DIR);)
	@printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' \
		'Name: span' 'Description: sequence-parallel attention' 'Version: $(VERSION)' \
		'Cflags: -I$${includedir}/span' 'Libs: -L$${libdir} -lspan' \
		'Libs.private: -lhwloc -lexpat -ljansson -ldl -lm -pthread' \
		>$(LIB_DIR)/pkgconfig/span.pc
	@echo "installed span $(VERSION) in $(DESTDIR)$(prefix)"

uninstall: ## take them away again
	@rm -f $(HEADERS:%=$(HEADER_DIR)/%) $(LIB_DIR)/pkgconfig/span.pc
	@rm -f $(addprefix $(LIB_DIR)/,libspan.a libspan.so $(SONAME) libspan.so.$(VERSION) \
		$(notdir $(PLUGIN)) libnccl-profiler-span.so)
	@rm -f $(addprefix $(DESTDIR)$(bindir)/,$(notdir $(PROGRAMS))) \
		$(addprefix $(MAN_DIR)/,$(notdir $(MAN))) \
		$(addprefix $(PROFILE_DIR)/,$(notdir $(PROFILES)))
	@for folder in $(HEADER_DIR)/topo $(HEADER_DIR)/attention $(HEADER_DIR) $(PROFILE_DIR) \
		$(DESTDIR)$(prefix)/share/span; do if [ -d $$folder ]; then rmdir $$folder; fi; done

# --- the rest ----------------------------------------------------------------------------

.PHONY: all always trainer example fuzz check-nccl run test test-full bench bench-peers deps check \
	layers format format-check static test-asan test-tsan test-valgrind test-install install uninstall \
	clean config help now-run now-test now-plain now-bench now-bench-peers
found = $(shell $(PKG_CONFIG) --modversion $(1) 2>/dev/null || echo "not found: $(2)")
clean: ## remove what was built
	rm -rf $(O) $(O)-address-undefined $(O)-thread

config: ## what was found on this machine
	@echo "span        $(VERSION), soname $(SONAME), built in $(O)"
	@echo "compiler    $(CC): $$($(CC) --version | head -n 1)"
	@echo "flags       $(ALL_CFLAGS)"
	@echo "kernels     ref$(if $(X86), avx2 avx512, only: the vector kernels are for x86_64)"
	@echo "hwloc       $(call found,hwloc,the library needs it)"
	@echo "expat       $(call found,expat,the library needs it)"
	@echo "jansson     $(call found,jansson,the library needs it)"
	@echo "openblas    $(call found,openblas,no trainer)"
	@echo "criterion   $(call found,criterion,no tests)"

help: ## this text
	@echo 'make TARGET [KNOB=value]'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20
	@echo; sed -n 's/^#: /  /p' Makefile
