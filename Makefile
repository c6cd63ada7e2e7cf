# SPDX-License-Identifier: MIT
# Pinhole's build. `make help` lists targets and variables; the lines with `##` are its text.
# Sources are found by wildcard: a new file in any folder needs no change here.

VERSION := 0.2.0
#: V=1              show the commands
#: SAN=1            build with AddressSanitizer and UBSan, in build/san
#: BUILD=DIR        build there (default build/release)
#: WITHOUT="..."    leave out of: libcamera gpiod turbojpeg avahi avformat mosquitto nats sqlite
#: CAMERA=SPEC      run: fake, replay:FOLDER, libcamera:ID (default: the first real one, else fake)
#: PORT=8080        run: port of the web page
#: NODE_PORT=7447   run: port of the node's own protocol
#: LISTEN=127.0.0.1 run: address of both; 0.0.0.0 opens them to the network
#: T=NAME           test: only programs with NAME in their name
#: SEEDS=1000       sim: how many seeds; FIRST=N the first of them; SEED=X replays one
#: SECONDS=600      fuzz: time for each fuzzer; SEED=X tries the same inputs in each run
#: F=NAME           fuzz: only this fuzzer
#: PINHOLE_PHOTOS=DIR  test, bench: a folder of photographs
#: BOARD=virt       image: for which machine; a folder of board/image
#: PREFIX=/usr/local, DESTDIR=   install: where to
# Only from the command line: bash has a SECONDS of its own.
FUZZ_SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Avahi looks nowhere else; an install into a folder of one's own leaves the system alone.
AVAHIDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),,$(PREFIX))/etc/avahi/services

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

COMMA := ,
BUILD := build/$(if $(FUZZ),fuzz,$(if $(SAN),san,release))
# Sub-makes use every core unless the caller has chosen.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
SUBMAKE = $(MAKE) --no-print-directory $(JOBS)

# A missing library is a missing backend, said by `pinhole --version`. Each is the version found.
PKG_CONFIG ?= pkg-config
PKG := $(shell command -v $(PKG_CONFIG) 2>/dev/null)
find_library = $(if $(and $(PKG),$(if $(filter $(1),$(WITHOUT)),,yes)),$(shell $(PKG_CONFIG) --modversion $(2) 2>/dev/null))
LIBCAMERA := $(if $(wildcard hal/libcamera/camera.cpp),$(if $(shell command -v $(CXX)),$(call find_library,libcamera,libcamera)))
GPIOD := $(firstword $(subst ., ,$(call find_library,gpiod,libgpiod)))
GPIOD := $(if $(wildcard hal/gpio/gpiod$(GPIOD).c),$(GPIOD))
MOSQUITTO := $(call find_library,mosquitto,libmosquitto)
NATS := $(call find_library,nats,libnats)
SQLITE := $(call find_library,sqlite,sqlite3)
REC_LIBS := -ljansson $(if $(SQLITE),-lsqlite3)
AVFORMAT := $(call find_library,avformat,libavformat libavcodec libavutil)
TURBOJPEG := $(call find_library,turbojpeg,libturbojpeg)
AVAHI := $(call find_library,avahi,avahi-client)

ifneq ($(SAN)$(FUZZ),)
CHECKS := -fsanitize=$(if $(FUZZ),fuzzer-no-link$(COMMA))address$(COMMA)undefined \
  $(if $(FUZZ),-fprofile-instr-generate -fcoverage-mapping)
OPT := -O1 $(CHECKS) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
OPT := -O2 -D_FORTIFY_SOURCE=2 -fstack-usage
endif
WARN := -Wall -Wextra -Wconversion -Wshadow -Werror
WARN_C := -Wvla -Wstrict-prototypes -Wmissing-prototypes
HARDEN := -fstack-protector-strong -fPIC -fvisibility=hidden
CPPFLAGS := -I. -DPINHOLE_VERSION='"$(VERSION)"' $(if $(LIBCAMERA),-DHAVE_LIBCAMERA) \
  $(if $(GPIOD),-DHAVE_GPIOD=$(GPIOD)) $(if $(TURBOJPEG),-DHAVE_TURBOJPEG) \
  $(if $(AVAHI),-DHAVE_AVAHI)
# Files past 2 GB, where a `long` has 32 bits.
CPPFLAGS += $(if $(findstring __LP64__,$(shell $(CC) -dM -E -x c /dev/null 2>/dev/null)),,-D_FILE_OFFSET_BITS=64)
# Defined as empty, so that a file which has its own `#define _GNU_SOURCE` agrees.
CFLAGS := -std=c11 -D_GNU_SOURCE= -g $(OPT) $(WARN) $(WARN_C) $(HARDEN) -MMD -MP
# libcamera's headers come as system headers: our warnings are not for them.
CXXFLAGS := -std=gnu++20 -g $(OPT) $(WARN) $(HARDEN) -MMD -MP \
  $(if $(LIBCAMERA),$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags libcamera)))
LDFLAGS := -Wl,--as-needed $(if $(CHECKS),$(CHECKS),-Wl$(COMMA)-z$(COMMA)relro -Wl$(COMMA)-z$(COMMA)now)

NODE_LIBS := -ljpeg -linih -lnettle $(if $(GPIOD),-lgpiod) -lpthread -lm
LIBCAMERA_LIBS := $(if $(LIBCAMERA),$(shell $(PKG_CONFIG) --libs libcamera))
CLIENT_LIBS := $(if $(TURBOJPEG),-lturbojpeg) $(if $(AVAHI),-lavahi-client -lavahi-common) \
  -lnettle -lpthread -lm

HAL_C := $(filter-out hal/gpio/gpiod%.c,$(wildcard hal/*.c hal/*/*.c)) $(GPIOD:%=hal/gpio/gpiod%.c)
# What else is in the libcamera backend's file: without state, so that the node may have it, too.
BACKEND_C := $(filter-out hal/libcamera/load.c,$(wildcard hal/libcamera/*.c)) hal/feature.c hal/os/clock.c
NET_C := $(wildcard net/*.c net/server/*.c)
CLIENT_C := $(wildcard net/*.c net/client/*.c) hal/os/clock.c
APP_C := $(filter-out app/main.c,$(wildcard app/*.c app/*/*.c))
COMMON_C := $(wildcard tools/common/*.c)
CTL_C := $(wildcard tools/ctl/*.c)
WEB_C := $(filter-out %/nats.c,$(wildcard tools/web/*.c))
WEB_LIBS := -lmicrohttpd -lgnutls -ljansson -lcrypt -ljpeg
MQTT_C := $(wildcard tools/mqtt/*.c)
NATS_C := $(wildcard tools/nats/*.c)
NATS_LIBS := -lnats -lhogweed
RELAY_C := $(wildcard tools/relay/*.c)
REC_C := $(wildcard tools/rec/*.c)
SUPPORT_C := $(wildcard tests/host/support/*.c)
TESTS := $(patsubst tests/host/%.c,$(BUILD)/tests/%,$(wildcard tests/host/*/test_*.c))
BENCHES := $(patsubst tests/host/%.c,$(BUILD)/tests/%,$(wildcard tests/host/bench/*.c))
FUZZ_NAMES := $(patsubst tests/host/fuzz/%.c,%,$(filter-out %/fuzz_driver.c,$(wildcard tests/host/fuzz/*.c)))
PRELOADS := $(patsubst tests/host/support/preload/%.c,$(BUILD)/tests/%.so,$(wildcard tests/host/support/preload/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_NODE := $(BUILD)/libnode.a
LIB_SUPPORT := $(BUILD)/libsupport.a
LIB_CLIENT := $(BUILD)/libpinhole.a
LIB_COMMON := $(BUILD)/libcommon.a
LIB_SHARED := $(BUILD)/libpinhole.so.1
BACKEND := $(if $(LIBCAMERA),$(patsubst %.cpp,$(BUILD)/obj/%.o,$(wildcard hal/libcamera/*.cpp)))
PLUGIN := $(if $(LIBCAMERA),$(BUILD)/pinhole-libcamera.so)
TOOL_PLUGINS := $(if $(AVFORMAT),$(BUILD)/pinhole-rec-avformat.so) \
  $(if $(NATS),$(BUILD)/pinhole-rec-nats.so $(BUILD)/pinhole-web-nats.so)
PROGRAMS := $(if $(wildcard app/main.c),$(BUILD)/pinhole) $(if $(CTL_C),$(BUILD)/pinholectl) \
  $(if $(WEB_C),$(BUILD)/pinhole-web) $(if $(filter %-rec.c,$(REC_C)),$(BUILD)/pinhole-rec) \
  $(if $(MOSQUITTO),$(if $(MQTT_C),$(BUILD)/pinhole-mqtt)) \
  $(if $(NATS),$(if $(RELAY_C),$(BUILD)/pinhole-relay))
NODE_OBJECTS := $(call obj,$(wildcard app/main.c) $(HAL_C) $(NET_C) $(APP_C))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help programs test-programs bench-programs fuzzers run test bench lint size fuzz sim install clean \
  deb image check-arm check-fleet check-image check-libcamera check-mqtt check-vm check-deb
export BUILD CAMERA LISTEN PORT NODE_PORT T F V SAN CC VERSION

all: programs ## the node, the tools and libpinhole (the default)
ifeq ($(filter-out all,$(MAKECMDGOALS))$(and $(PKG),$(shell $(PKG_CONFIG) --exists libjpeg libmicrohttpd gnutls inih jansson nettle && echo ok)),)
$(error Libraries are missing; `tools/setup.sh run` installs them, as `make run` and `make test` do)
endif
programs: $(PROGRAMS) $(PLUGIN) $(TOOL_PLUGINS) $(LIB_CLIENT) $(LIB_SHARED)

help: ## this text
	@printf '%s\n\n' 'Pinhole: a Raspberry Pi as an industrial camera. Start with `make run`. Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' Makefile
	@echo; echo 'Variables:'; sed -n 's/^#: /  /p' Makefile

# These install first and start make anew, so that it looks for the libraries again.
run: ## install what is missing, build, start node and web page, print the URL
	@tools/setup.sh run
	+@$(SUBMAKE) programs
	@tools/run.sh

test: ## install what is missing, build and run every test (SAN=1: under the sanitizers)
	@tools/setup.sh test
	+@$(SUBMAKE) programs test-programs
	@tools/dev/run-tests.sh

bench: ## CPU time and latency per frame, beside their references from the same run (TLS=1: what TLS takes)
	@tools/setup.sh bench
	+@$(SUBMAKE) programs bench-programs
	@tools/dev/bench/run.sh

lint: ## format, the rules of CONTRIBUTING.md, clang-tidy, cppcheck, shellcheck, Python
	@tools/setup.sh lint
	+@$(SUBMAKE) programs
	@tools/dev/lint.sh

size: ## text, data, bss and stack of the node against app/size.budget
	@tools/setup.sh size
	+@$(SUBMAKE) programs
	@tools/dev/size-check.sh $(NODE_OBJECTS)

fuzz: ## run each fuzzer for SECONDS under ASan and UBSan (F=NAME: only this one)
	@tools/setup.sh fuzz
	+@$(SUBMAKE) FUZZ=1 CC=clang BUILD=build/fuzz WITHOUT="libcamera gpiod" fuzzers
	@BUILD=build/fuzz SEED=$(SEED) tools/dev/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_NAMES) \
	  $(patsubst tests/host/fuzz/%.py,%,$(wildcard tests/host/fuzz/test_*.py))

check-arm: ## the C tests and a node on 64-bit and 32-bit ARM, emulated
check-fleet: ## relay, leaf, a hub of three NATS servers, two recorders through kills, cuts of link and power, a night (KILLS=N, CUTS=N, HOURS=N, SEED=N)
check-image: ## the image in an emulator: settings from outside, pictures, updates, CUTS=N and UPDATE_CUTS=N power cuts (SEED=N)
check-libcamera: ## the test suite on Debian 13 and testing against libcamera's virtual camera
check-mqtt: ## pinhole-mqtt with the brokers of Debian 12 and 13: outages, stalls, cost, bad input
check-vm: ## triggers on simulated GPIO lines, a USB camera, the units under systemd, in a virtual machine
check-deb: ## build, install, use, upgrade and purge the packages on Debian 12 and 13, three machines
check-arm check-fleet check-image check-libcamera check-mqtt check-vm check-deb:
	@tools/setup.sh $@
	@tools/dev/$@.sh

deb: ## Debian packages for this machine, in build/packages
	@tools/setup.sh deb
	@tools/dev/deb.sh

image: ## an image that boots and streams, in build/image: BOARD=virt
	@tools/setup.sh image
	@tools/dev/image.sh $(or $(BOARD),virt)

sim: ## the whole node in a simulated machine: SEEDS=N runs so many, SEED=X replays one
	+@$(SUBMAKE) $(SIM)
	@$(if $(SEED),$(SIM) $(SEED),$(SIM) $(or $(FIRST),1) $(or $(SEEDS),1000) $(shell nproc))

clean: ## remove everything built
	rm -rf build $(BUILD)

# Objects depend on this file, which changes only when the options do.
FLAGS := $(AVFORMAT) $(NATS) $(SQLITE) $(CC) $(CXX) $(CPPFLAGS) $(CFLAGS) $(CXXFLAGS) $(LDFLAGS) $(NODE_LIBS) $(LIBCAMERA_LIBS) $(CLIENT_LIBS)
ifneq ($(FLAGS),$(file <$(BUILD)/flags))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(FLAGS))
endif
# $(call compile,COMPILER WITH FLAGS) and $(call link,LINKER,LIBRARIES) are recipes.
define compile
	$(say) $(if $(filter %.cpp,$<),CXX,CC) $<
	@mkdir -p $(@D)
	$(Q)$(1) -c $< -o $@
endef
define link
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(1) $(LDFLAGS) $(filter %.o %.a,$^) $(2) -o $@
endef

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(call compile,$(CC) $(CPPFLAGS) $(CFLAGS))
$(BUILD)/obj/%.o: %.cpp $(BUILD)/flags
	$(call compile,$(CXX) $(CPPFLAGS) $(CXXFLAGS))
# cmocka 2 deprecates names for others that cmocka 1 lacks, and takes strings without casting them.
$(BUILD)/obj/tests/%.o: CFLAGS += -Wno-deprecated-declarations -Wno-pointer-sign

$(LIB_NODE): $(filter-out %/app/main.o,$(NODE_OBJECTS))
$(LIB_CLIENT): $(call obj,$(CLIENT_C))
$(LIB_SUPPORT): $(call obj,$(SUPPORT_C))
$(LIB_COMMON): $(call obj,$(COMMON_C))
%.a:
	$(say) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

# The sanitizers' run-time comes with the program that loads it: undefined symbols are no error there.
LIB_MAP := $(wildcard net/client/libpinhole.map)
$(LIB_SHARED): LDFLAGS += -shared -Wl,-soname,libpinhole.so.1 $(LIB_MAP:%=-Wl$(COMMA)--version-script=%) \
  $(if $(CHECKS),,-Wl$(COMMA)-z$(COMMA)defs)
$(LIB_SHARED): $(call obj,$(CLIENT_C)) $(LIB_MAP)
	$(call link,$(CC),$(CLIENT_LIBS))
	$(Q)ln -sf libpinhole.so.1 $(BUILD)/libpinhole.so

# What is marked BASE_EXPORT is there for the plug-in. GCC 12's LeakSanitizer falls over thread-local
# storage of libraries that are loaded later, so under it libcamera is there from the start.
$(BUILD)/pinhole: $(call obj,app/main.c) $(LIB_NODE) | $(PLUGIN)
	$(call link,$(CC) -rdynamic,$(NODE_LIBS) $(if $(SAN),-Wl$(COMMA)--no-as-needed $(LIBCAMERA_LIBS)))
$(PLUGIN): $(BACKEND) $(call obj,$(BACKEND_C)) hal/libcamera/libcamera.map
	$(call link,$(CXX) -shared -Wl$(COMMA)--version-script=hal/libcamera/libcamera.map,$(LIBCAMERA_LIBS))
$(BUILD)/pinholectl: $(call obj,$(CTL_C)) $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) -ljansson)
$(BUILD)/pinhole-web: $(call obj,$(WEB_C)) $(LIB_COMMON) $(LIB_CLIENT) | $(TOOL_PLUGINS)
	$(call link,$(CC),$(CLIENT_LIBS) $(WEB_LIBS))
$(BUILD)/pinhole-web-nats.so: $(call obj,tools/web/nats.c $(NATS_C))
	$(call link,$(CC) -shared,$(NATS_LIBS))
$(call obj,tools/web/nats.c): CPPFLAGS += -DHAVE_NATS
$(call obj,$(REC_C)): CPPFLAGS += $(if $(AVFORMAT),-DHAVE_AVFORMAT) $(if $(NATS),-DHAVE_NATS) $(if $(SQLITE),-DHAVE_SQLITE)
$(BUILD)/pinhole-rec: $(call obj,$(filter-out %/avformat.c %/nats.c,$(REC_C))) $(LIB_COMMON) $(LIB_CLIENT) | $(TOOL_PLUGINS)
	$(call link,$(CC),$(CLIENT_LIBS) $(REC_LIBS))
$(BUILD)/pinhole-rec-avformat.so: $(call obj,tools/rec/avformat.c tools/rec/files.c)
	$(call link,$(CC) -shared,-lavformat -lavcodec -lavutil)
$(BUILD)/pinhole-rec-nats.so: $(call obj,tools/rec/nats.c $(NATS_C))
	$(call link,$(CC) -shared,$(NATS_LIBS))
$(BUILD)/pinhole-mqtt: $(call obj,$(MQTT_C)) $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) -lmosquitto -ljansson -ljpeg -linih -lmicrohttpd)
$(BUILD)/pinhole-relay: $(call obj,$(RELAY_C) $(NATS_C)) $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) $(NATS_LIBS) -ljansson)
# The page's files are embedded by .incbin, which no compiler reports as a dependency.
$(call obj,$(WEB_C)): $(wildcard tools/web/page/*)

# The parts without libmosquitto, for their unit test.
$(BUILD)/libmqtt.a: $(call obj,$(addprefix tools/mqtt/,version.c window.c))
$(BUILD)/tests/unit/test_mqtt: $(BUILD)/libmqtt.a

# The gateway's frames need no libmicrohttpd.
$(BUILD)/tests/tools/test_web_frame: $(call obj,tools/web/frame.c tools/common/jpeg_shape.c)

$(BUILD)/tests/tools/test_web_session: $(call obj,tools/web/session.c)
$(BUILD)/tests/tools/test_web_attempts: $(call obj,tools/web/attempts.c)

$(BUILD)/tests/tools/test_rec_crc32c: $(call obj,tools/rec/crc32c.c)

# The relay's window, which needs no server.
$(BUILD)/librelay.a: $(call obj,tools/relay/window.c)
$(BUILD)/tests/unit/test_relay_window: $(BUILD)/librelay.a

# The recorder with its calls wrapped, so that a test can let each of them fail.
REC_WRAPPED := malloc calloc realloc strdup asprintf open openat read pread readv write send sendmsg \
  fsync fdatasync syncfs ftruncate fstat stat fstatat statvfs mkdir mkdirat renameat renameat2 unlinkat \
  futimens flock opendir fdopendir readdir lseek pthread_create socket connect bind listen accept4 \
  setsockopt getsockname poll
REC_FAULTY := $(BUILD)/tests/pinhole-rec-faulty
$(REC_FAULTY): LDFLAGS += $(REC_WRAPPED:%=-Wl$(COMMA)--wrap=%)
$(REC_FAULTY): $(call obj,$(filter-out %/nats.c,$(REC_C)) tests/host/support/fail_site.c) $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) $(REC_LIBS) $(if $(AVFORMAT),-lavformat -lavcodec -lavutil))
test-programs: $(REC_FAULTY)

# The same for the gateway.
WEB_WRAPPED := $(REC_WRAPPED) ppoll eventfd getrandom getsockopt getaddrinfo open_memstream newlocale \
  $(addprefix MHD_,create_response_from_buffer create_response_from_buffer_with_free_callback_cls \
  create_response_from_callback add_response_header queue_response post_process create_post_processor \
  get_connection_info)
WEB_FAULTY := $(BUILD)/tests/pinhole-web-faulty
$(WEB_FAULTY): LDFLAGS += $(WEB_WRAPPED:%=-Wl$(COMMA)--wrap=%)
$(WEB_FAULTY): $(call obj,$(WEB_C) tests/host/support/fail_site.c tests/host/tools/fail_site_web.c) \
  $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) $(WEB_LIBS))
test-programs: $(WEB_FAULTY)

# The same for the relay.
RELAY_WRAPPED := $(REC_WRAPPED) eventfd js_AddStream js_GetLastMsg js_GetStreamInfo js_SubscribeSync natsInbox_Create \
  natsMsgHeader_Get natsMsgHeader_Set natsMsg_Create natsMsg_GetMetaData natsOptions_Create natsOptions_SetServers \
  natsSubscription_NextMsg $(addprefix natsConnection_,Connect JetStream PublishMsg PublishRequestString \
  PublishString Subscribe SubscribeSync)
RELAY_FAULTY := $(BUILD)/tests/pinhole-relay-faulty
$(RELAY_FAULTY): LDFLAGS += $(RELAY_WRAPPED:%=-Wl$(COMMA)--wrap=%)
$(RELAY_FAULTY): $(call obj,$(RELAY_C) $(NATS_C) tests/host/support/fail_site.c tests/host/tools/fail_site_nats.c) \
  $(LIB_COMMON) $(LIB_CLIENT)
	$(call link,$(CC),$(CLIENT_LIBS) $(NATS_LIBS) -ljansson)
test-programs: $(if $(NATS),$(RELAY_FAULTY))

TEST_PARTS := $(LIB_SUPPORT) $(LIB_NODE) $(LIB_CLIENT)
TEST_LIBS := $(NODE_LIBS) $(CLIENT_LIBS) $(if $(TURBOJPEG),-lturbojpeg) -lcmocka
test-programs: $(TESTS) $(FUZZ_NAMES:%=$(BUILD)/tests/fuzz/%) $(PRELOADS)
bench-programs: $(BENCHES)
$(BUILD)/tests/tools/%: $(BUILD)/obj/tests/host/tools/%.o $(LIB_COMMON) $(TEST_PARTS)
	$(call link,$(CC),$(TEST_LIBS) -ljansson)
$(BUILD)/tests/%: $(BUILD)/obj/tests/host/%.o $(TEST_PARTS)
	$(call link,$(CC),$(TEST_LIBS))
$(BUILD)/tests/%.so: $(BUILD)/obj/tests/host/support/preload/%.o
	$(call link,$(CC) -shared)

# The node in a simulated machine: its calls to the system, and what the simulation looks at, are wrapped.
SIM_CALLS := accept4 adjtimex bind clock_gettime close connect epoll_create1 epoll_ctl epoll_pwait2 eventfd \
  frame_queue_offer getrandom getsockname getsockopt ioctl isatty listen lstat poll read recv send sendmsg setsockopt \
  shutdown signalfd socket unlink write store_init store_publish_event store_publish_frame trigger_edge trigger_ring_add
SIM := $(BUILD)/tests/sim/sim
# The linker calls them; nobody declares them.
$(BUILD)/obj/tests/host/sim/%.o: CFLAGS += -Wno-missing-prototypes
$(SIM): LDFLAGS += $(SIM_CALLS:%=-Wl$(COMMA)--wrap=%)
$(SIM): $(call obj,$(wildcard tests/host/sim/*.c)) $(LIB_NODE)
	$(call link,$(CC),$(NODE_LIBS))
test-programs: $(SIM)

# Each call of libpinhole that can fail goes through the test.
$(BUILD)/tests/client/test_client_faults: LDFLAGS += $(foreach name,malloc calloc realloc strdup free socket \
  connect send readv read write poll ppoll eventfd getsockopt setsockopt getrandom getaddrinfo \
  pthread_create,-Wl$(COMMA)--wrap=$(name))

# A fuzzer's body with a main() that plays every file of its corpus once, and with libFuzzer's. A tool's
# fuzzer has the tool but for its main().
FUZZ_LIBS := -Wl,--end-group $(TEST_LIBS) $(REC_LIBS) $(WEB_LIBS) \
  $(if $(AVFORMAT),-lavformat -lavcodec -lavutil)
$(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/host/fuzz/%.o $(call obj,tests/host/fuzz/fuzz_driver.c) $(TEST_PARTS)
	$(call link,$(CC) -Wl$(COMMA)--start-group,$(FUZZ_LIBS))
fuzzers: $(FUZZ_NAMES:%=$(BUILD)/fuzzers/%)
$(BUILD)/fuzzers/%: $(BUILD)/obj/tests/host/fuzz/%.o $(TEST_PARTS)
	$(call link,$(CC) -fsanitize=fuzzer -Wl$(COMMA)--start-group,$(FUZZ_LIBS))
fuzz_of = $(BUILD)/tests/fuzz/fuzz_$(1) $(BUILD)/fuzzers/fuzz_$(1)
$(call fuzz_of,ctl): $(call obj,$(filter-out %/pinholectl.c,$(CTL_C))) $(LIB_COMMON)
$(call fuzz_of,rec): $(call obj,$(filter-out %/pinhole-rec.c %/nats.c,$(REC_C))) $(LIB_COMMON)
$(call fuzz_of,web): $(call obj,$(filter-out %/pinhole-web.c,$(WEB_C))) $(LIB_COMMON)
$(call fuzz_of,jpeg): $(call obj,tools/web/colour.c tools/web/frame.c) $(LIB_COMMON)

# Tests of the libcamera backend link it. With its fault hooks and its heap calls counted it is there
# for one of them and for a node that fails on demand.
ifneq ($(LIBCAMERA),)
$(filter %/test_camera_libcamera %/test_usb_camera %/test_usb_camera_outage,$(TESTS)): $(BUILD)/tests/%: \
  $(BUILD)/obj/tests/host/%.o $(BACKEND) $(TEST_PARTS)
	$(call link,$(CXX),$(TEST_LIBS) $(LIBCAMERA_LIBS))
FAULTY := $(BACKEND:%.o=%_faulty.o)
$(BUILD)/obj/%_faulty.o: %.cpp $(BUILD)/flags
	$(call compile,$(CXX) $(CPPFLAGS) -DPINHOLE_FAULT_HOOKS $(CXXFLAGS))
RECOVERY := $(BUILD)/tests/kernel/test_camera_libcamera_recovery
$(RECOVERY): LDFLAGS += $(foreach name,malloc calloc realloc _Znwm _Znwj,-Wl$(COMMA)--wrap=$(name))
$(RECOVERY): $(call obj,tests/host/kernel/test_camera_libcamera_recovery.c) $(FAULTY) $(TEST_PARTS)
	$(call link,$(CXX),$(TEST_LIBS) $(LIBCAMERA_LIBS))
$(BUILD)/tests/pinhole-faulty: $(call obj,app/main.c tests/host/support/libcamera_faults.c) $(FAULTY) $(LIB_NODE)
	$(call link,$(CXX),$(NODE_LIBS) $(LIBCAMERA_LIBS))
test-programs: $(if $(wildcard app/main.c),$(BUILD)/tests/pinhole-faulty)
endif

# Units say /usr/local; installing elsewhere rewrites that. ldconfig lets programs find libpinhole. The
# node looks for its backend in ../lib/pinhole, wherever LIBDIR is.
install: programs ## into PREFIX: programs, backend, library, header, pkg-config file, systemd units, documents
	install -d $(addprefix $(DESTDIR),$(addprefix $(PREFIX)/,bin include share/doc/pinhole) \
	  $(LIBDIR)/pkgconfig $(UNITDIR))
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 net/client/pinhole.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(LIB_CLIENT) $(LIB_SHARED) $(DESTDIR)$(LIBDIR)
	ln -sf libpinhole.so.1 $(DESTDIR)$(LIBDIR)/libpinhole.so
	$(if $(strip $(PLUGIN) $(TOOL_PLUGINS)),install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/pinhole $(PLUGIN) $(TOOL_PLUGINS))
	install -D board/boot/pinhole-boot.sh $(DESTDIR)$(PREFIX)/lib/pinhole/pinhole-boot
	$(if $(DESTDIR),,-ldconfig)
	sed $(foreach name,VERSION PREFIX LIBDIR CLIENT_LIBS,-e 's|@$(name)@|$(strip $($(name)))|') \
	  -e '/^#/d' net/client/pinhole.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/pinhole.pc
	set -e; for unit in $(wildcard board/*.service board/*.socket); do \
	  sed 's|/usr/local|$(PREFIX)|g' "$$unit" > $(DESTDIR)$(UNITDIR)/"$${unit##*/}"; done
	install -D -m 644 board/avahi/pinhole.service $(DESTDIR)$(AVAHIDIR)/pinhole.service
	install -D -m 644 board/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/pinhole.conf
	install -D -m 644 board/udev.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-pinhole.rules
	$(if $(DESTDIR)$(filter-out /usr /usr/local,$(PREFIX)),,-systemd-sysusers pinhole.conf; ! [ -S /run/udev/control ] || { \
	  udevadm control --reload && udevadm trigger --settle --action=add $(addprefix --subsystem-match=,gpio dma_heap module); })
	install -m 644 $(wildcard README.md DESIGN.md CHANGELOG.md LICENSE net/SPEC.md net/client/SDK.md tools/web/grafana-pinhole.json) $(DESTDIR)$(PREFIX)/share/doc/pinhole

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
