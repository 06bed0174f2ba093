// SPDX-License-Identifier: BSD-2-Clause
// The hosted half of a build with a sanitizer: the only file that is compiled and linked against
// the host's C library, which the sanitizers' runtime needs. It is linked to the kernel, newlib and
// the application as one object whose other names are hidden (tools/sanlink).
//
// A core is a thread that the runtime knows, made by pthread_create, and leaves its stack at once
// for the one the kernel gives it. Nothing else of the C library is called: a goroutine could be
// stopped in it and go on in another thread.

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

_Noreturn void host_main(uintptr_t *stack);
long host_clone(uintptr_t top, void (*fn)(void));
const char *__tsan_default_options(void);
const char *__asan_default_options(void);

// Signals are the kernel's; the first report ends the process.
const char *__tsan_default_options(void)
{
    return "halt_on_error=1:exitcode=66:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:"
           "handle_sigill=0:use_sigaltstack=0:report_signal_unsafe=0:history_size=4";
}

const char *__asan_default_options(void)
{
    return "exitcode=66:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
           "use_sigaltstack=0:detect_stack_use_after_return=0:detect_leaks=0";
}

struct start {
    uintptr_t top;
    void (*fn)(void);
};

static void *thread(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    __asm__ volatile("movq %0, %%rsp; xorl %%ebp, %%ebp; call *%1; ud2"
                     : : "a"(start.top), "d"(start.fn) : "memory");
    __builtin_unreachable();
}

long host_clone(uintptr_t top, void (*fn)(void))
{
    pthread_t id;
    struct start *start = malloc(sizeof *start);
    if (!start)
        return -12;
    *start = (struct start){ top, fn };
    return -(long)pthread_create(&id, NULL, thread, start);
}

int main(int argc, char **argv)
{
    uintptr_t *block = malloc(((size_t)argc + 1) * sizeof *block);
    if (!block)
        return 125;
    block[0] = (uintptr_t)argc;
    for (int i = 0; i < argc; i++)
        block[i + 1] = (uintptr_t)argv[i];
    host_main(block);
}
