# SPDX-License-Identifier: MIT
# Pinhole. `make help` lists the targets. V=1 shows commands, SAN=1 builds with ASan and UBSan.

VERSION := 0.1.0

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

BUILD := build/$(if $(SAN),san,release)

# What this machine offers decides what is built; a missing library is a missing backend, said by
# `pinhole --version`.
PKG := $(shell command -v pkg-config 2>/dev/null)
have = $(if $(PKG),$(shell pkg-config --exists '$(1)' && echo yes))

CC ?= cc
WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
OPT := $(if $(SAN),-O1 -fsanitize=address$(COMMA)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer,-O2 -D_FORTIFY_SOURCE=2)
COMMA := ,
OPT := $(if $(SAN),-O1 -fsanitize=address$(COMMA)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer,-O2 -D_FORTIFY_SOURCE=2)
HARDEN := -fstack-protector-strong -fPIC
CPPFLAGS := -I. -D_GNU_SOURCE -DPINHOLE_VERSION='"$(VERSION)"'
CFLAGS := -std=c11 -g $(OPT) $(WARN) $(HARDEN) -fstack-usage -MMD -MP
LDFLAGS := $(if $(SAN),-fsanitize=address$(COMMA)undefined,-Wl,-z,relro -Wl,-z,now)

NODE_LIBS := -ljpeg -linih
LIB_NODE := $(BUILD)/libnode.a
LIB_CLIENT := $(BUILD)/libpinhole.a

HAL_C := hal/camera.c hal/camera_fake.c hal/camera_replay.c hal/clock.c hal/fake_code.c \
         hal/fake_scene.c hal/fake_script.c hal/gpio_fake.c hal/log.c hal/loop.c hal/watchdog.c
NET_C := $(filter-out net/client%.c,$(wildcard net/*.c))
CLIENT_C := $(wildcard net/client*.c) net/wire.c
APP_C := $(filter-out app/main.c,$(wildcard app/*.c))
SUPPORT_C := $(wildcard tests/host/support/*.c)
TESTS := $(patsubst tests/host/%.c,$(BUILD)/tests/%,$(wildcard tests/host/test_*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

$(BUILD)/obj/%.o: %.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIB_NODE): $(call obj,$(wildcard $(HAL_C)) $(NET_C) $(APP_C))
$(LIB_CLIENT): $(call obj,$(CLIENT_C))
%.a:
	$(say) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/pinhole: $(call obj,app/main.c) $(LIB_NODE)
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS) $^ $(NODE_LIBS) -o $@

$(BUILD)/tests/%: $(BUILD)/obj/tests/host/%.o $(call obj,$(SUPPORT_C)) $(LIB_NODE) $(LIB_CLIENT)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(NODE_LIBS) -lcmocka -lm -o $@

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
