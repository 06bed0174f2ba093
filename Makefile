# SPDX-License-Identifier: BSD-2-Clause
#
# The one Makefile: kernel rooms -> heddle.o -> APP linked to it, twice, so that the image holds a
# table of its own functions. No configure step; a new source file, test or example is just a file.

ARCH = x86_64
MODE = $(if $(filter hostile,$(TEST)),hostile,normal)
APP = examples/http
BUILD = build
T =
EXAMPLES = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDEXPANSION:
MAKEFLAGS += -rR --no-print-directory
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

# ---- what was asked for, checked before anything is done ----

GOALS := help run build image iso flash test model bench test-images tidy clean deps newlib
RUN_VARS := SMP MEM ARGS PORTS BOOT LOG TIMEOUT MACHINE NIC DISK KVM KOPTS QEMU TRACE
VARS := APP ARCH MODE SAN BUILD TEST T V EXAMPLES DEV ICOUNT QUICK $(RUN_VARS)
given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v))
one_of = $(if $(filter-out $2,$($1))$(word 2,$($1)),$(error \
    $1=$($1): must be one of: $2))
bad := $(filter-out $(GOALS) build/% $(BUILD)/%,$(MAKECMDGOALS))
$(if $(bad),$(error unknown goal: $(bad); there are: $(GOALS)))
bad := $(filter-out $(VARS) -*,$(given))
$(if $(bad),$(error unknown option: $(bad); there are: $(VARS)))
# Words are passed on as they were typed: a $ in ARGS is the application's.
$(foreach v,$(filter $(RUN_VARS) APP T DEV,$(given)),$(eval override $v := $$(value $v)))
$(call one_of,ARCH,x86_64 aarch64 host)
$(call one_of,MODE,normal hostile debug)
$(if $(and $(filter-out x86_64,$(ARCH)),$(filter image iso flash,$(MAKECMDGOALS))),$(error \
    ARCH=$(ARCH): images of disks are made for x86_64 only))
$(if $(SAN),$(call one_of,SAN,thread address undefined))
$(if $(and $(SAN),$(filter-out host,$(ARCH))),$(error SAN=$(SAN): only with ARCH=host))
$(if $(filter TEST,$(given)),$(call one_of,TEST,hostile))
$(if $(and $(TEST),$(filter-out test test-images $(BUILD)/%,$(MAKECMDGOALS))),$(error \
    TEST=hostile belongs to 'make test'; use MODE=hostile here))
$(if $(and $(TEST),$(filter-out hostile,$(MODE))),$(error TEST=hostile contradicts MODE=$(MODE)))
$(if $(word 2,$(APP)),$(error APP='$(APP)': must be one path without blanks))

# ---- tools and flags ----

CROSS_aarch64 := aarch64-linux-gnu-
CC := $(CROSS_$(ARCH))gcc
LD := $(CROSS_$(ARCH))ld
OBJCOPY := $(CROSS_$(ARCH))objcopy
STRIP := $(CROSS_$(ARCH))strip
NM := $(CROSS_$(ARCH))nm
# What is booted: the linked file, or what its segments make in memory.
BOOTED := $(if $(filter aarch64,$(ARCH)),bin,elf)
B := $(BUILD)/$(ARCH)-$(MODE)$(SAN:%=-%)
# The processor; ARCH=host is a process on one.
CPU := $(if $(filter host,$(ARCH)),x86_64,$(ARCH))
NL := build/newlib-$(CPU)
Q := $(if $V,,@)
say = $(if $V,,@$(if $(filter 0,$(LOG)),,echo "  $1";))
comma := ,
quote = '$(subst ','\'',$1)'

CFLAGS_x86_64 := -mno-red-zone -fcf-protection=none -fno-pic -fno-pie
CFLAGS_aarch64 := -march=armv8-a -mno-outline-atomics -fno-pic -fno-pie
# Sanitizers, for all but what stands between the kernel and Linux. What of undefined behaviour is
# found is an invalid opcode. The thread sanitizer's calls at function entry and end would count
# frames that g0 leaves without returning.
SANFLAGS_thread := -fsanitize=thread --param=tsan-instrument-func-entry-exit=0 -Wno-tsan
SANFLAGS_address := -fsanitize=address
SANFLAGS_undefined := -fsanitize=undefined -fsanitize-undefined-trap-on-error
SANFLAGS := $(SANFLAGS_$(SAN))
HOSTED := $(filter thread address,$(SAN))
KFLAGS_host := -DHOST_SAN=$(if $(HOSTED),$(if $(filter thread,$(SAN)),1,2),0)
COMMON := -std=gnu11 -O2 -g $(CFLAGS_$(CPU)) -ffunction-sections -fdata-sections \
    -fno-omit-frame-pointer -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fno-common -ffile-prefix-map=$(CURDIR)/= -U__linux__ -U__gnu_linux__ -U__linux -Ulinux \
    -nostdinc -Iinclude -Iarch/$(ARCH)/public -isystem $(shell $(CC) -print-file-name=include) \
    -isystem $(NL)/include
# A secret word below the return addresses of functions with arrays (kernel/canary.c). Not in the
# rooms of the hot paths, which have no arrays that anyone's data goes to.
CANARY := -fstack-protector-strong -mstack-protector-guard=global
KFLAGS := $(COMMON) -ffreestanding -fvisibility=hidden -I. -Iarch/$(ARCH) \
    -mgeneral-regs-only $(KFLAGS_$(ARCH)) \
    -DHOSTILE=$(if $(filter hostile,$(MODE)),1,0) -DDEBUG=$(if $(filter debug,$(MODE)),1,0) \
    -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
    -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wno-unused-parameter
AFLAGS := $(COMMON) $(CANARY) -D__heddle__=1 -Wall $(SANFLAGS)
TFLAGS := $(AFLAGS) -I. -Iarch/$(ARCH) -Itests/boot/$(CPU) $(filter -DHOSTILE% -DDEBUG%,$(KFLAGS))
LFLAGS := -nostdlib -static -no-pie -Wl,--gc-sections -Wl,-z,max-page-size=4096 \
    -Wl,-z,noexecstack -Wl,--build-id=none -Wl,--no-warn-rwx-segments
LIBS := -Wl,--start-group $(NL)/lib/libc.a $(NL)/lib/libm.a -lgcc -Wl,--end-group
# The memory and string functions must not be turned into calls of themselves.
FLAGS_lib := -fno-tree-loop-distribute-patterns
FLAGS_libc := -D_GNU_SOURCE $(CANARY)
FLAGS_net := $(CANARY)
FLAGS_drivers := $(CANARY)
FLAGS_kernel := $(CANARY)

# ---- the kernel ----

ROOMS := lib kernel sched drivers $(wildcard drivers/$(ARCH)) net libc arch/$(ARCH) boot \
    boot/$(ARCH)
SRCS := $(sort $(foreach r,$(ROOMS),$(wildcard $r/*.c $r/*.S)))
OBJS := $(SRCS:%=$B/%.o)

$B/%.c.o: %.c $B/flags $(NL)/stamp
	$(call say,CC $<)mkdir -p $(@D); $(CC) $(KFLAGS) $(FLAGS_$(<D)) \
	    $(if $(filter arch/% boot/%,$<),,$(SANFLAGS)) -MMD -MP -c -o $@ $<

$B/%.S.o: %.S $B/flags $(NL)/stamp
	$(call say,AS $<)mkdir -p $(@D); $(CC) $(KFLAGS) -MMD -MP -c -o $@ $<

# The rooms below libc/ run in interrupts too and must not call newlib, which may use vector
# registers: lib/ has what they need.
KERNEL_NEEDS := main|drivers_host_probe|__errno|libc_start|symtab_blob|image_size|.*_start|.*_end
KERNEL_IMPORTS := $(KERNEL_NEEDS)|__u?(div|mod)ti3|__popcountdi2
KERNEL_IMPORTS := $(KERNEL_IMPORTS)$(if $(HOSTED),|__[at]san_.*|host_clone)

$B/kernel.o: $(filter-out $B/libc/%,$(OBJS)) $B/objects
	$(Q)$(LD) -r -o $@ $(filter %.o,$^); \
	alien=$$($(NM) -u $@ | sed 's/.* //' | grep -vxE '$(KERNEL_IMPORTS)'); \
	[ -z "$$alien" ] || { echo kernel rooms may not call: $$alien >&2; exit 1; }

$B/heddle-all.o: $B/kernel.o $(filter $B/libc/%,$(OBJS)) $B/objects
	$(call say,LD $@)$(LD) -r -o $@ $(filter %.o,$^)

# Everything not marked for applications becomes local: they may use any other name.
$B/heddle.o: $B/heddle-all.o
	$(Q)$(OBJCOPY) --localize-hidden $< $@

$B/linker.ld: $(or $(wildcard arch/$(ARCH)/image.ld),linker.ld) linker.ld \
    $(wildcard arch/$(ARCH)/regs.h) $B/flags
	$(Q)$(CC) -E -P -x c -I. $(CFLAGS_$(CPU)) $< -o $@

# Files that change only when what they hold does.
$B/flags $B/objects: FORCE
	$(Q)mkdir -p $(@D); printf '%s\n' $(call quote,$($(@F)-text)) >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
flags-text = $(KFLAGS) $(AFLAGS) $(SANFLAGS) $(LFLAGS) $(shell $(CC) -dumpfullversion)
objects-text = $(OBJS)

# ---- the UEFI application: a loader with an image inside ----

EFI_ARCH := $(ARCH)
EFI_FLAGS := -std=gnu11 -O2 -ffreestanding -fpic -fshort-wchar -fno-stack-protector \
    -fvisibility=hidden -mno-red-zone -mgeneral-regs-only -maccumulate-outgoing-args \
    -DGNU_EFI_USE_MS_ABI -ffile-prefix-map=$(CURDIR)/= -I. -isystem /usr/include/efi \
    -isystem /usr/include/efi/$(EFI_ARCH) -Wall -Wextra -Werror -Wno-unused-parameter
EFI_SRCS := $(wildcard boot/efi/*.c boot/efi/$(ARCH)/*.[cS]) boot/efi_map.c boot/cmdline_text.c \
    kernel/bootinfo_add.c
EFI_OBJS := $(EFI_SRCS:%=$B/efi/%.o)
EFI_LFLAGS := -nostdlib -shared -Bsymbolic -znocombreloc -znoexecstack \
    -T /usr/lib/elf_$(EFI_ARCH)_efi.lds --no-warn-rwx-segments
EFI_SECTIONS := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc

$B/efi/%.o: % $B/flags | deps-efi
	$(call say,EFI $<)mkdir -p $(@D); $(CC) $(EFI_FLAGS) -MMD -MP -c -o $@ $<

$B/%.efi: $B/%.elf $(EFI_OBJS) boot/efi/payload.S | deps-efi
	$(call say,EFI $@)$(CC) $(EFI_FLAGS) -DPAYLOAD='"$<"' -c -o $B/$*.payload.o boot/efi/payload.S; \
	$(LD) $(EFI_LFLAGS) -o $B/$*.efi.so /usr/lib/crt0-efi-$(EFI_ARCH).o $(EFI_OBJS) \
	    $B/$*.payload.o -L/usr/lib -lefi -lgnuefi && \
	$(OBJCOPY) $(EFI_SECTIONS:%=-j %) --target efi-app-$(EFI_ARCH) --subsystem=10 \
	    $B/$*.efi.so $@; \
	status=$$?; rm -f $B/$*.payload.o $B/$*.efi.so; exit $$status

-include $(EFI_OBJS:.o=.d)

# ---- images ----
# $(call image,ID,SOURCES,KERNEL,FLAGS): rules for $B/ID.elf and $B/ID.bin, one of which is what is
# booted, and $B/ID.debug, the same with symbols for gdb. Objects live in a folder of the ID.

define image
$(foreach s,$2,$(eval $(call app_object,$1,$s,$4)))
$B/$1.debug: $(foreach s,$2,$B/$1.d/$(notdir $s).o) $B/$3 $B/linker.ld tools/symtab $(NL)/stamp
	$$(call say,LINK $B/$1.elf)set -e; d=$B/$1.d; \
	objs="$$(filter %.o,$$^)"; \
	$(if $(HOSTED),exec tools/sanlink $(SAN) $$@ $$$$objs $(NL)/lib/libc.a $(NL)/lib/libm.a;) \
	$(CC) $(LFLAGS) -Wl,-T,$B/linker.ld -o $$$$d/pass1 $$$$objs $(LIBS); \
	tools/symtab $$$$d/pass1 >$$$$d/symtab.S; \
	$(CC) -c -o $$$$d/symtab.o $$$$d/symtab.S; \
	$(CC) $(LFLAGS) -Wl,-T,$B/linker.ld -o $$@ $$$$objs $$$$d/symtab.o $(LIBS); \
	rm -f $$$$d/pass1
$B/$1.elf: $B/$1.debug
	$(Q)$(if $(HOSTED),ln -f $$< $$@,$(STRIP) -o $$@ $$<)
$B/$1.bin: $B/$1.debug
	$(Q)$(OBJCOPY) -O binary $$< $$@
-include $(foreach s,$2,$B/$1.d/$(notdir $s).d)
endef

define app_object
$B/$1.d/$(notdir $2).o: $2 $B/flags $(NL)/stamp
	$$(call say,CC $2)mkdir -p $$(@D); $(CC) $3 -I$(dir $2) -MMD -MP -c -o $$@ $$<
endef

app_name = $(basename $(notdir $(patsubst %/,%,$1)))
app_id = app/$(call app_name,$1)-$(shell realpath -m $1 | cksum | cut -d' ' -f1)
app_srcs = $(if $(filter %.c,$1),$(wildcard $1),$(sort $(wildcard $(patsubst %/,%,$1)/*.c)))

wants_app := $(filter run build image iso flash,$(MAKECMDGOALS))
ifneq ($(wants_app),)
APP_SRCS := $(call app_srcs,$(APP))
$(if $(APP_SRCS),,$(error APP=$(APP): $(if $(wildcard $(APP)),there is no .c file in it,\
    no such directory or .c file)))
APP_ID := $(call app_id,$(APP))
$(eval $(call image,$(APP_ID),$(APP_SRCS),heddle.o,$(AFLAGS)))
endif

# Boot tests probe internals, so they see every header and link to the kernel with all its names.
ifneq ($(filter test-images,$(MAKECMDGOALS)),)
TESTS := $(patsubst tests/boot/%.c,%,$(wildcard $(foreach t,$(or $T,*),tests/boot/$t.c)))
EXAMPLE_NAMES := $(if $(filter 0,$(EXAMPLES)),,$(patsubst examples/%/,%,$(wildcard examples/*/)))
$(foreach t,$(TESTS),$(eval \
    $(call image,tests/$t,tests/boot/$t.c,heddle-all.o,$(TFLAGS))))
$(foreach e,$(EXAMPLE_NAMES),$(eval \
    $(call image,examples/$e,$(wildcard examples/$e/*.c),heddle.o,$(AFLAGS))))
endif

-include $(OBJS:.o=.d)
.PRECIOUS: $B/%.elf $(EFI_OBJS)

# ---- goals ----

.PHONY: $(GOALS) FORCE deps-run deps-efi
FORCE:

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

#: make run [APP=dir|file.c]    build an application and boot it (default: examples/http)
#: make build [APP=...]         only build it and print the image's name
#: make image [APP=...]         write a disk image for PCs (BIOS, UEFI); KOPTS and ARGS go with it
#: make flash DEV=/dev/sdX      write that image to a stick or disk, after asking
#: make iso [APP=...]           write a CD image
#: make test [T=name]           run the tests; TEST=hostile makes the rare happen all the time;
#:                              without ARCH= on x86_64 and on host
#: make model                   search the models of the scheduler (a part of make test)
#: make bench [QUICK=1]         Heddle beside Go on Linux under QEMU; ICOUNT=1 counts instructions
#:                              instead and compares them with bench/budget.txt
#: make tidy                    check the rules of the source tree
#: make deps                    install the Debian packages that are missing
#: make newlib                  build the C library (done by itself when needed)
#: make clean                   remove what was built, but for the C library
#:
#: Options of make run, and of tools/run, whose exit status is the application's:
#:   APP=examples/http          a directory of .c files, or one .c file, anywhere
#:   ARCH=x86_64|aarch64        the machine; MACHINE=q35|microvm, virt|virt-gicv2 which model of it;
#:                              or ARCH=host, a process of this machine instead
#:   NIC=virtio                 the network card: virtio or e1000e
#:   DISK=file                  a disk for it, whose sectors are the file's
#:   SMP=2 MEM=512M             cores (1 to 64) and memory
#:   ARGS="a 'b c'"             the application's arguments
#:   PORTS="8080:80 9000:9000"  host:guest TCP ports
#:   BOOT=direct                how it is started: direct, or from a disk by grub or uefi
#:   LOG=0                      nothing on the console but what the application prints
#:   TIMEOUT=10                 end the run after so many seconds, with status 124
#:   TRACE=out.json             write a trace of the scheduler, for ui.perfetto.dev
#:   KVM=auto                   0 never, 1 always, auto where a short probe boots under it
#:   KOPTS="slice_us=100"       options for the kernel
#:   QEMU="-s -S"               more options for QEMU
#:   MODE=normal                hostile: do the rare thing every time; debug: check lock order
#:   SAN=thread                 with ARCH=host: thread, address, undefined: a sanitizer in all
#: Also: V=1 shows the commands, BUILD=dir puts what is built elsewhere.

# What is needed besides the ELF file to boot in the way asked for.
BOOT_FILES := $(if $(filter uefi,$(BOOT)),$B/$(APP_ID).efi)

run: $B/$(APP_ID).$(BOOTED) $(BOOT_FILES)
	@HEDDLE_DIE_WITH_PARENT=1 exec tools/run --image $< \
	    $(foreach v,APP ARCH MODE $(filter $(RUN_VARS),$(given)),$(call quote,$v=$($v)))

build: $B/$(APP_ID).$(BOOTED) $(BOOT_FILES)
	@echo $<

make_image = tools/deps $1 && tools/image $2 --elf $< --app $(call quote,$(call app_name,$(APP))) \
    --kopts=$(call quote,$(KOPTS)) --args=$(call quote,$(ARGS))

$B/$(APP_ID).img: $B/$(APP_ID).elf $B/$(APP_ID).efi FORCE
	$(call say,IMAGE $@)$(call make_image,image,disk) --efi $B/$(APP_ID).efi $@

$B/$(APP_ID).iso: $B/$(APP_ID).elf FORCE
	$(call say,ISO $@)$(call make_image,iso,iso) $@

image: $B/$(APP_ID).img
	@echo $<

iso: $B/$(APP_ID).iso
	@echo $<

flash: $B/$(APP_ID).img
	@tools/flash $< $(call quote,$(DEV))

test-images: $(TESTS:%=$B/tests/%.$(BOOTED)) $(EXAMPLE_NAMES:%=$B/examples/%.$(BOOTED))

model: override T = model/*
test model:
	@tools/deps test
	@HEDDLE_DIE_WITH_PARENT=1 exec tools/test --mode $(MODE) --san "$(SAN)" --build $(BUILD) \
	    --arch $(if $(filter ARCH,$(given)),$(ARCH),x86_64$(comma)host) $(call quote,$T)

bench: | deps-run
	$(call one_of,ICOUNT,0 1)
	$(call one_of,QUICK,0 1)
	@$(if $(filter 1,$(ICOUNT)),,tools/deps bench;) \
	    exec $(if $(filter 1,$(ICOUNT)),tools/budget,tools/bench $(if $(filter 1,$(QUICK)),--quick))

tidy:
	@exec tools/tidy

clean:
	rm -rf $(filter-out build/newlib-% build/kvm-%,$(wildcard $(BUILD)/*))

deps:
	@tools/deps test

deps-run:
	@tools/deps $(if $(filter aarch64,$(ARCH)),aarch64,run)

deps-efi:
	@tools/deps efi

# The packet laboratory, a program of this machine (tools/netlab).
build/netlab: $(wildcard tools/lab/*.[ch])
	$(call say,CC $@)mkdir -p build; $(CC) -std=gnu11 -O2 -g -Wall -Wextra -Wno-unused-parameter \
	    -Werror -I. -o $@ $(filter %.c,$^)

newlib: $(NL)/stamp

$(NL)/stamp: tools/newlib $(wildcard /usr/src/newlib/*.tar.xz) | deps-run
	@tools/newlib $(CPU) $(NL)
	@touch $@
