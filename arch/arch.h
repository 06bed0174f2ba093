// SPDX-License-Identifier: BSD-2-Clause
// The whole contract with the hardware. Each architecture has the same file names with the same
// functions; what they mean is written here and nowhere else. The inlines come from
// arch/<name>/arch_inline.h, found by the include path; they are declared here first, so that a
// missing or differing one fails to compile. Where the kernel's ranges of addresses lie says
// arch/<name>/arch_layout.h.
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct g;
struct m;
struct trap_frame;
struct bootinfo;

// arch_inline.h

// The goroutine (or g0) this code runs as. The same value for ever within one G, so a compiler may
// keep it.
static inline struct g *getg(void);
// Tells the core's register that gp runs from here on. Context: boot code of a core.
static inline void setg(struct g *gp);
// A hint inside a spin-wait; lets an emulator run the other cores.
static inline void arch_relax(void);
// The free-running counter behind the clock; the same on every core, and read after what precedes
// it: a value passed on to another core is never later than what that core reads then.
static inline uint64_t arch_counter(void);
// A full fence between memory that is shared with a device: what is stored before is visible to the
// device before anything after is loaded.
static inline void arch_device_fence(void);
// Makes a full fence of the atomic read-modify-write before it: stores before that are visible to
// other cores before loads after this are made.
static inline void arch_fence_after_rmw(void);
// Registers of devices. A write is ordered after everything before it, a read before everything
// after it, other devices and the memory they look at included.
static inline uint8_t arch_mmio_read8(const volatile void *r);
static inline uint16_t arch_mmio_read16(const volatile void *r);
static inline uint32_t arch_mmio_read32(const volatile void *r);
static inline void arch_mmio_write8(volatile void *r, uint8_t v);
static inline void arch_mmio_write16(volatile void *r, uint16_t v);
static inline void arch_mmio_write32(volatile void *r, uint32_t v);
// Interrupts of this core off; returns whether they were on. arch_irq_restore takes that back.
static inline bool arch_irq_save(void);
static inline void arch_irq_restore(bool on);
static inline void arch_irq_enable(void);
// Sleeps until an interrupt has been handled. Called with interrupts off; enables them and sleeps
// in one step, so an interrupt that came after they were turned off ends the sleep at once. Returns
// with them off. What was stored before is visible to others before the sleep.
static inline void arch_idle(void);
// A relaxed load as the condition of a branch, in as few instructions as there are.
static inline bool arch_flag(const _Atomic(bool) *flag);
// Calls trace_goroutine(gp, what) keeping every register, so that a function whose one call this
// is, on a path hardly ever taken, needs no frame for it.
static inline void arch_trace_goroutine(const struct g *gp, uint64_t what);

// switch.S

// Saves the running goroutine in gp->sp and calls fn(gp) on this core's g0, from the top of its
// stack. Returns when somebody resumes gp with arch_gogo, perhaps on another core. fn must not
// return. Only what the ABI asks a callee to keep is saved.
void arch_mcall(void (*fn)(struct g *gp));
// Resumes gp on this core. Context: g0.
_Noreturn void arch_gogo(struct g *gp);
// Makes gp start at entry() on its own empty stack when it is first resumed. Writes at most 64
// bytes there.
void arch_init_context(struct g *gp, void (*entry)(void));
// Leaves the current stack for good and calls fn on the one that ends at top.
_Noreturn void arch_call_on_stack(uintptr_t top, void (*fn)(void));

// A way back to a point further up the same stack, as setjmp; the buffer holds the callee-saved
// registers.
struct arch_jmp { uintptr_t reg[24]; };
int arch_setjmp(struct arch_jmp *j) __attribute__((returns_twice));
_Noreturn void arch_longjmp(struct arch_jmp *j);

// trap.c

// Registers for a report: prints them with kprintf.
void arch_print_trap_frame(const struct trap_frame *tf);
uintptr_t arch_trap_pc(const struct trap_frame *tf);
uintptr_t arch_trap_fp(const struct trap_frame *tf);
// Frame pointer and resume address of a goroutine that is not running, from its saved context.
void arch_saved_frame(const struct g *gp, uintptr_t *pc, uintptr_t *fp);

// mmu.c

// MAP_DEVICE: uncached, each access as it is made. MAP_GATHER: uncached, but writes may be put
// together and come late, as a screen likes it.
enum { MAP_WRITE = 1, MAP_EXEC = 2, MAP_DEVICE = 4, MAP_GATHER = 8 };
// The physical memory that boot code has left mapped in the direct map: where the kernel's first
// pages come from.
void arch_boot_mapped(uint64_t *start, uint64_t *end);
// Builds the kernel's own page tables (image with its permissions, direct map of all RAM) and
// switches to them.
void arch_mmu_init(const struct bootinfo *bi);
// Maps the page at va, whose tables appear as needed. Lock-free against other cores: true if the
// page is mapped when it returns, by this call or another core's; *won says whether pa was used.
// `alloc` gives zeroed pages for tables. The mapping holds on every core when it returns, without
// telling them: at worst one faults once more and finds it. Context: any, with the alloc function's
// context.
bool arch_map_page(uintptr_t va, uint64_t pa, unsigned flags, void *(*alloc)(void), bool *won);
// Takes away the mapping of va on this core; returns the physical page or 0. Other cores may still
// see it.
uint64_t arch_unmap_page(uintptr_t va);
bool arch_is_mapped(uintptr_t va);

// intr.c (with irq.h's arch_msi_message and arch_irq_route)

enum ipi {
    IPI_WAKE,    // ends a sleep, or makes the core reschedule if a goroutine runs there
    IPI_STOP,    // stops the core for good, even with interrupts off
};
// What was stored before is visible to the core before the interrupt arrives.
void arch_send_ipi(unsigned core, enum ipi what);

// timer.c

// Calibrates the counter and starts the clock. Context: boot core.
void arch_clock_init(void);
// Arms this core's one-shot timer for that time of clock_mono_ns; INT64_MAX disarms it.
void arch_timer_arm(int64_t deadline_ns);

// smp.c

// Cores found, the boot core counted; at most MAX_CORES and at most what `smp=` allows.
unsigned arch_core_count(void);
// Starts core n on its own g0 (already set up in m) and has it call entry there, interrupts off.
// False: it did not come up in time.
bool arch_start_core(unsigned n, struct m *m, void (*entry)(void));

// cpu.c

// Descriptor tables, exception vectors, per-core register, processor features. On the boot core it
// is called first of all with a static m whose g0 is the boot stack.
void arch_cpu_init_boot(struct m *m0);
// The core's stacks for interrupts and faults, with their guard pages. Needs pages and the kernel's
// page tables.
bool arch_cpu_alloc(unsigned core);
void arch_cpu_init(struct m *m);

// machine.c

// Finds cores, interrupt controllers, the exit device. Needs page tables, before heap.
void arch_machine_init(const struct bootinfo *bi);
// Powers the machine off; status goes to whoever started it, where a way to tell exists.
_Noreturn void arch_poweroff(int status);
// Stops this core for ever, asleep, interrupts off.
_Noreturn void arch_halt(void);
// Seconds since 1970 from a clock chip, 0 if there is none.
int64_t arch_wall_seconds(void);
// A hardware random number; false if the processor has none or it failed.
bool arch_random_u64(uint64_t *out);

// serial.c

// The first console. Context: before anything else.
void arch_console_init(void);
void arch_console_write(const char *s, size_t n);
// One byte of input, -1 when none waits.
int arch_console_getc(void);
// machine.c: the first reader has come; whoever started the machine may send input from now on.
void arch_console_wanted(void);

#include <arch_inline.h>

#endif
