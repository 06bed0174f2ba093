# SPDX-License-Identifier: BSD-2-Clause
"""Goroutines in gdb, over QEMU's gdb stub: gdb -x tools/gdb.py IMAGE.debug

  info goroutines       every goroutine: number, what it does or waits for, name, where
  info ms, info ps      cores and Ps
  goroutine N COMMAND   any command of gdb as though goroutine N were the current thread: bt,
                        frame 2, info locals; N may be `all`

How: a goroutine that is not running has its callee-saved registers on its stack, from gp->sp up
(arch/x86_64/switch.S); they are put into the stopped processor's registers while COMMAND runs, then
the old ones are put back. One that is running is looked at on its own processor.
"""
import gdb

SAVED = ('r15', 'r14', 'r13', 'r12', 'rbp', 'rbx', 'rip')  # from gp->sp up
RUNTIME = ('sched/', 'kernel/', 'arch/', 'lib/')


def value(text):
    return gdb.parse_and_eval(text)


def plain(v):
    """The number in an integer, an enumeration, a pointer or an _Atomic of these."""
    return int(v.cast(gdb.lookup_type('long')))


def pointer(v, kind):
    return gdb.Value(plain(v)).cast(gdb.lookup_type('struct ' + kind).pointer())


def enum_name(kind, number, prefix):
    for field in gdb.lookup_type('enum ' + kind).fields():
        if field.enumval == number and field.name.startswith(prefix):
            return field.name[len(prefix):].lower()
    return str(number)


def wait_reason(number):
    names = value('wait_reason_names')
    return names[number].string() if plain(names[number]) else ''


# ---- what there is ----

def goroutines():
    """Every goroutine that exists, by number."""
    found = []
    gp = pointer(value('all_gs'), 'g')
    while plain(gp):
        if enum_name('g_status', plain(gp['status']), 'G_') not in ('dead', 'idle'):
            found.append(gp)
        gp = gp['all_next']
    return sorted(found, key=lambda gp: plain(gp['id']))


class Core:
    """A processor of the machine, which for gdb is a thread."""

    def __init__(self, thread):
        self.thread = thread
        thread.switch()
        gdb.newest_frame().select()
        base = plain(value('$gs_base'))
        # A core that has not been started has no struct cpu yet.
        started = base and plain(value(f'*(unsigned long *){base + 16}'))
        self.m = pointer(gdb.Value(started), 'm') if started else None
        self.g = pointer(value(f'*(unsigned long *){base}'), 'g') if started else None


class Cores:
    """All cores; leaves gdb on the thread and frame it was on."""

    def __enter__(self):
        self.was = gdb.selected_thread(), gdb.selected_frame().level()
        self.all = [Core(t) for t in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)]
        self.was[0].switch()
        return self

    def __exit__(self, *_):
        self.was[0].switch()
        gdb.execute(f'frame {self.was[1]}', to_string=True)

    def running(self, gp):
        """The core gp runs on at the moment, None when its registers are on its stack."""
        for core in self.all:
            if core.g is not None and plain(core.g) == plain(gp):
                return core
        return None


def saved(gp):
    """Registers of a goroutine that is not running."""
    sp = plain(gp['sp'])
    words = pointer(gp['sp'], 'g').cast(gdb.lookup_type('unsigned long').pointer())
    regs = {name: plain(words[i]) for i, name in enumerate(SAVED)}
    regs['rsp'] = sp + 8 * len(SAVED)
    return regs


class As:
    """gdb looks at gp while the block runs."""

    def __init__(self, cores, gp):
        self.core, self.gp, self.old = cores.running(gp), gp, None
        self.thread = gdb.selected_thread()

    def __enter__(self):
        if self.core:
            self.core.thread.switch()
        gdb.newest_frame().select()
        if not self.core:
            regs = saved(self.gp)
            self.old = {name: plain(value('$' + name)) for name in regs}
            self.set(regs)

    def __exit__(self, *_):
        if self.old:
            gdb.newest_frame().select()
            self.set(self.old)
        self.thread.switch()

    @staticmethod
    def set(regs):
        """All in one expression: gdb must not look at frames in between."""
        gdb.execute('set variable ' + ', '.join(f'${r} = {v:#x}' for r, v in regs.items()))
        gdb.invalidate_cached_frames()
        gdb.newest_frame().select()


def where(cores, gp):
    """The innermost function that is not the runtime's, and its line."""
    with As(cores, gp):
        frame = first = gdb.newest_frame()
        for _ in range(30):
            line = frame.find_sal()
            if line.symtab and not line.symtab.filename.startswith(RUNTIME):
                return f'{frame.name()} at {line.symtab.filename}:{line.line}'
            older = frame.older()
            if older is None or not older.is_valid():
                break
            frame = older
        return first.name() or f'{first.pc():#x}'


def doing(cores, gp):
    status = enum_name('g_status', plain(gp['status']), 'G_')
    if status == 'waiting':
        return wait_reason(plain(gp['wait_reason']))
    core = cores.running(gp)
    return f'{status}, core {plain(core.m["id"])}' if core else status


def name_of(gp):
    return gp['name'].string() if plain(gp['name']) else ''


# ---- commands ----

class InfoGoroutines(gdb.Command):
    """Every goroutine: number, what it does or waits for, name, where. * runs on this core."""

    def __init__(self):
        super().__init__('info goroutines', gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        with Cores() as cores:
            here = gdb.selected_thread().num
            for gp in goroutines():
                core = cores.running(gp)
                mark = '*' if core and core.thread.num == here else ' '
                print(f'{mark} {plain(gp["id"]):<5} {doing(cores, gp):<22} {name_of(gp):<12} '
                      f'{where(cores, gp)}')


class InfoMs(gdb.Command):
    """Every M (core): its P, the goroutine it runs, what it is up to."""

    def __init__(self):
        super().__init__('info ms', gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        idle = plain(value('sched.idle_m'))
        for n in range(plain(value('sched.n_m'))):
            m = value(f'ms[{n}]')
            p = plain(m['p']['id']) if plain(m['p']) else '-'
            g = plain(m['curg']['id']) if plain(m['curg']) else '-'
            state = 'asleep' if idle >> n & 1 else 'spinning' if plain(m['spinning']) else 'awake'
            print(f'  M {n}  P {p}  G {g}  {state}, {plain(m["n_irq"])} interrupts')


class InfoPs(gdb.Command):
    """Every P: state, its M, the length of its queue, counters."""

    def __init__(self):
        super().__init__('info ps', gdb.COMMAND_STATUS)

    def invoke(self, arg, from_tty):
        for n in range(plain(value('sched.n_p'))):
            p = pointer(value(f'ps[{n}]'), 'p')
            queue = p['runq']
            length = (plain(queue['tail']) - plain(queue['head'])) % (1 << 32)
            length += plain(queue['next']) != 0
            m = pointer(p['m'], 'm')
            state = enum_name('p_status', plain(p['status']), 'P_')
            print(f'  P {n}  {state:<8} M {plain(m["id"]) if plain(m) else "-"}  '
                  f'{length} queued, {plain(p["timers"]["len"])} timers, '
                  f'{plain(p["n_switch"])} switches')
        print(f'  {plain(value("sched.global_len"))} on the global queue')


class Goroutine(gdb.Command):
    """goroutine N COMMAND: COMMAND as though goroutine N were current; N may be `all`."""

    def __init__(self):
        super().__init__('goroutine', gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        which, _, command = arg.strip().partition(' ')
        if not command or not (which == 'all' or which.isdigit()):
            raise gdb.GdbError('goroutine: wants a number or `all`, and a command')
        chosen = [gp for gp in goroutines() if which in ('all', str(plain(gp['id'])))]
        if not chosen:
            raise gdb.GdbError(f'goroutine: there is no goroutine {which}')
        with Cores() as cores:
            for gp in chosen:
                if which == 'all':
                    print(f'\ngoroutine {plain(gp["id"])} [{doing(cores, gp)}]: {name_of(gp)}')
                with As(cores, gp):
                    gdb.execute(command, from_tty)


for command_class in (InfoGoroutines, InfoMs, InfoPs, Goroutine):
    command_class()
