// SPDX-License-Identifier: BSD-2-Clause
// test: runs="-DSPAWNS=2|-DQUIET|-DPS=1 -DPACKETS=1|-DPACKETS=1 -DSPAWNS=0|-DTIMERS -DSPAWNS=0"
// test: runs+="-DMS=3 -DPS=1"
// test: bugs="-DBUG=1|-DBUG=2|-DBUG=3 -DPACKETS=1"
// test: bugs+="-DBUG=5 -DTIMERS -DSPAWNS=0|-DBUG=4 -DPS=1 -DPACKETS=1"
//
// Idle cores and how they are woken, as sched/idle.c, sched/proc.c, sched/runq.c and
// sched/netpoll.c do it: the masks idle_m and idle_p, nmspinning, the hand-over by nextp, the
// announcement in resched, the last look before the halt, wakes held back, guards of timers.
//
// MS cores share PS Ps. Goroutine 1 starts on core 0; a goroutine may start another (SPAWNS in
// all), end, arm the one timer, or compute for ever (at most HOGS of them); a device receives
// PACKETS packets, each of which readies a goroutine. One statement is one atomic access, and all
// are sequentially consistent, as they are in the code.
//
// Claim: when nothing can move any more, no queue, due timer or packet is left while a P is idle.
// A core that computes for ever takes its slice tick only for what the tick looks at (timers,
// pollers), never for the goroutines queued behind it: those must have found another core.
//
// Left out: the global queue, stopping the world, which of several idle Ps and Ms is taken (any
// is), how much a thief takes (one), the moment at which time passes (any), preemption for the sake
// of slices.

#ifndef MS
#define MS 2
#endif
#ifndef PS
#define PS 2
#endif
#ifndef HOGS
#define HOGS (PS)
#endif
#ifndef SPAWNS
#define SPAWNS 1
#endif
#ifndef PACKETS
#define PACKETS 0
#endif
#ifndef BUG
#define BUG 0
#endif
#define NONE 7

bool idle_m[MS], idle_p[PS];
byte nmspinning;
byte nextp[MS], held[MS], guard[PS];
bool spinning[MS], resched[MS];
bool ipi[MS], device_irq[MS]; // interrupts that have been raised and not yet taken
bool soon[MS];                // the core's timer is armed for a moment that will come
bool hw_armed[MS];            // and for the timer of the model, whenever that is
bool wake_later[MS];
bool quiet;                   // wakes are held back for now
byte ring[PS];
bool next[PS];
bool pending, busy, masked;
byte packets, to_come = PACKETS, spawns = SPAWNS, hogs;
mtype = { UNARMED, ARMED, DUE };
mtype timer = UNARMED;        // the one timer, in the heap of P timer_p
bool timer_used;
byte timer_p;

#define RUNNABLE_AT(p) (next[p] + ring[p] > 0)
#if PS == 1
#define ANY_IDLE_P (idle_p[0])
#define RUNNABLE (next[0] + ring[0])
#else
#define ANY_IDLE_P (idle_p[0] || idle_p[1])
#define RUNNABLE (next[0] + next[1] + ring[0] + ring[1])
#endif
#if MS == 2
#define ANY_IDLE_M (idle_m[0] || idle_m[1])
#else
#define ANY_IDLE_M (idle_m[0] || idle_m[1] || idle_m[2])
#endif
#define WANTS_POLL (pending && !busy)
#define ON_TIMER(p) (timer != UNARMED && timer_p == (p))
#define GUARDS(m) (idle_p[timer_p] && guard[timer_p] == m)
#define DUE_FOR(m) (timer == DUE && (timer_p == held[m] || GUARDS(m)))

// pidle_get: any idle P, claimed.
inline take_idle_p(p)
{
    atomic {
        if
        :: idle_p[0] -> idle_p[0] = false; p = 0
#if PS > 1
        :: idle_p[1] -> idle_p[1] = false; p = 1
#endif
        :: !ANY_IDLE_P -> p = NONE
        fi
    }
}

// midle_get: the guard of p if it sleeps, else any.
inline take_idle_m(p, w)
{
    atomic {
        if
        :: guard[p] != NONE && idle_m[guard[p]] -> w = guard[p]; idle_m[w] = false
        :: else ->
            if
            :: idle_m[0] -> idle_m[0] = false; w = 0
            :: idle_m[1] -> idle_m[1] = false; w = 1
#if MS > 2
            :: idle_m[2] -> idle_m[2] = false; w = 2
#endif
            :: !ANY_IDLE_M -> w = NONE
            fi
        fi
    }
}

inline wake_one(me)
{
    if
#ifdef QUIET
    :: atomic { quiet -> wake_later[me] = true; soon[me] = true }
#endif
    :: atomic { !quiet -> skip };
        do
        :: atomic { nmspinning > 0 -> break }
        :: atomic { nmspinning == 0 -> nmspinning = 1 };
            take_idle_p(wp);
            wm = NONE;
            if
            :: wp == NONE
            :: else ->
                take_idle_m(wp, wm);
                if
                :: wm != NONE
                :: atomic { else -> idle_p[wp] = true };
                    // Its guard may have missed its timer meanwhile.
                    atomic {
                        if
                        :: ON_TIMER(wp) -> ipi[guard[wp]] = true
                        :: else
                        fi
                    }
                fi
            fi;
            if
            :: atomic { wm != NONE -> spinning[wm] = true; nextp[wm] = wp };
                ipi[wm] = true;
                break
            :: atomic { else -> nmspinning-- }
            fi;
            if
            :: !ANY_IDLE_P -> break
            :: else
            fi;
            if
            :: !ANY_IDLE_M -> break
            :: else
            fi
        od
    fi
}

inline wakep(me)
{
    if
    :: !ANY_IDLE_P
    :: else ->
        if
        :: nmspinning > 0
        :: else -> wake_one(me)
        fi
    fi
}

// runq_put of a goroutine that is to run next; the one that stood there goes to the ring.
inline put_next(p)
{
    atomic {
        if
        :: next[p] -> ring[p]++
        :: else -> next[p] = true
        fi
    }
}

// What each timer and wake-up interrupt does at its end (preempt.c:rearm).
inline rearm(me)
{
    atomic {
        if
        :: DUE_FOR(me) -> resched[me] = true
        :: timer == ARMED && (timer_p == held[me] || guard[timer_p] == me) -> hw_armed[me] = true
        :: else
        fi
    };
    atomic {
        if
        :: WANTS_POLL -> resched[me] = true
        :: else
        fi
    }
}

#define TIMER_FIRES(m) (soon[m] || (hw_armed[m] && timer == DUE))
#define INTERRUPTED(m) (ipi[m] || device_irq[m] || TIMER_FIRES(m))

inline interrupt(me)
{
    if
    :: atomic { device_irq[me] -> device_irq[me] = false; pending = true };
        resched[me] = true
    :: atomic { ipi[me] -> ipi[me] = false };
        rearm(me)
    :: atomic { TIMER_FIRES(me) -> soon[me] = false; hw_armed[me] = false };
#ifdef QUIET
        if
        :: atomic { wake_later[me] -> wake_later[me] = false };
            if
            :: held[me] != NONE && (ring[held[me]] + next[held[me]] > 0) -> wakep(me)
            :: else
            fi
        :: else
        fi;
#endif
        rearm(me)
    fi
}

// Interrupts that come while the scheduler runs on g0.
inline interrupts_on_g0(me)
{
    if
    :: INTERRUPTED(me) -> interrupt(me)
    :: true
    fi
}

// netpoll: one packet a poll, which readies one goroutine.
inline netpoll(me)
{
#if PACKETS > 0
    if
    :: !WANTS_POLL
    :: else ->
        if
        :: atomic { busy -> skip }
        :: atomic { !busy -> busy = true };
            pending = false;
            if
            :: atomic { packets > 0 -> packets--; ring[held[me]]++ };
                wakep(me)
            :: else
            fi;
            if
            :: packets > 0 -> pending = true
            :: else ->
                masked = false;
                // Looks once more, now that the device may interrupt.
                if
                :: atomic { packets > 0 && !masked -> masked = true }; pending = true
                :: else
                fi
            fi;
            busy = false;
            atomic {
                if
                :: pending -> soon[me] = true
                :: else
                fi
            }
        fi
    fi
#else
    skip
#endif
}

inline run_timers(me)
{
#ifdef TIMERS
    if
    :: atomic { DUE_FOR(me) -> timer = UNARMED; ring[held[me]]++ };
        wakep(me)
    :: else
    fi
#else
    skip
#endif
}

inline sched_poll(me)
{
    resched[me] = false;
    run_timers(me);
    atomic {
        if
        :: ON_TIMER(held[me]) -> hw_armed[me] = true
        :: else
        fi
    };
    netpoll(me)
}

#define TAKE_NEXT(p) atomic { next[p] -> next[p] = false; found = true }
#define TAKE_RING(p) atomic { ring[p] > 0 -> ring[p]--; found = true }

// runq_get.
inline look_at_queues(me)
{
    if
    :: TAKE_NEXT(held[me])
    :: atomic { !next[held[me]] -> skip };
        if
        :: TAKE_RING(held[me])
        :: atomic { ring[held[me]] == 0 -> skip }
        fi
    fi
}

#define VICTIM (1 - held[me])

// A search of the other P. A thief may spare runnext of a P that keeps switching.
inline steal_work(me)
{
#if PS > 1
    if
    :: spinning[me]
    :: atomic {
           !spinning[me] && 2 * nmspinning < PS -> // idle Ps counted as busy: a weaker bound
           spinning[me] = true;
           nmspinning++
       }
    :: else
    fi;
    if
    :: spinning[me] ->
#ifdef TIMERS
        if
        :: atomic {
               timer == DUE && timer_p == VICTIM -> timer = UNARMED;
               ring[held[me]]++
           };
            wakep(me);
            if
            :: TAKE_RING(held[me])
            :: else
            fi
        :: else
        fi;
#endif
        if
        :: found
        :: !found ->
            if
            :: TAKE_RING(VICTIM)
            :: atomic { ring[VICTIM] == 0 -> skip };
                if
                :: TAKE_NEXT(VICTIM)
                :: true
                fi
            fi
        fi
    :: else
    fi
#else
    skip
#endif
}

inline acquirep(me, p)
{
    atomic {
        held[me] = p
#if BUG != 5
        ; guard[p] = me
#endif
    };
    atomic {
        if
        :: ON_TIMER(p) -> hw_armed[me] = true
        :: else
        fi
    }
}

// Waits for what the waker, which has claimed this M, is about to store.
inline take_nextp(me)
{
    atomic { nextp[me] != NONE -> gotp = nextp[me]; nextp[me] = NONE };
    acquirep(me, gotp)
}

inline work_published(me)
{
    work = WANTS_POLL;
    work = work || RUNNABLE_AT(0);
#if PS > 1 && BUG != 2
    work = work || RUNNABLE_AT(1);
#endif
    work = work || DUE_FOR(me)
}

// True in `awake` if the M has a P again.
inline unidle(me)
{
    do
    :: atomic { !idle_m[me] -> skip };
        take_nextp(me);
        awake = true;
        break
    :: atomic { idle_m[me] -> idle_m[me] = false };
        take_idle_p(gotp);
        if
        :: gotp != NONE ->
            acquirep(me, gotp);
            atomic { spinning[me] = true; nmspinning++; awake = true };
            break
        :: else ->
            idle_m[me] = true;
            if
            :: !ANY_IDLE_P -> break
            :: else
            fi
        fi
    od
}

// Asks another core, which holds a P, to look at the network.
inline pass_on_netpoll(me)
{
    atomic {
        if
        :: me != 0 && held[0] != NONE -> wm = 0
        :: me != 1 && held[1] != NONE -> wm = 1
#if MS > 2
        :: me != 2 && held[2] != NONE -> wm = 2
#endif
        :: else -> wm = NONE
        fi
    };
    if
    :: wm != NONE -> resched[wm] = true; ipi[wm] = true
    :: else
    fi
}

inline arm_guarded(me)
{
    atomic {
        if
        :: timer != UNARMED && idle_p[timer_p] && guard[timer_p] == me -> hw_armed[me] = true
        :: else
        fi
    }
}

// arch_idle: interrupts on and asleep in one step. What is pending already ends it at once.
inline halt(me)
{
    interrupt(me)
}

#ifdef QUIET
#define searched_in_vain quiet = true
#else
#define searched_in_vain skip
#endif

inline stop_m(me)
{
    atomic {
        gotp = held[me];
        held[me] = NONE;
        was_spinning = spinning[me];
        spinning[me] = false
    };
#if BUG == 1
    // Stops spinning before it can be found idle.
    if
    :: atomic { was_spinning -> nmspinning--; was_spinning = false }
    :: else
    fi;
#endif
    idle_m[me] = true;
    idle_p[gotp] = true;
    if
    :: atomic { was_spinning -> nmspinning--; was_spinning = false };
        searched_in_vain
    :: else
    fi
}

inline sleep_until_p(me)
{
    awake = false;
    do
    :: awake -> break
    :: !awake ->
        work_published(me);
#if BUG == 1
        work = false; // and does not look again
#endif
        if
        :: work ->
            unidle(me);
            if
            :: awake
            :: else ->
                if
                :: WANTS_POLL -> pass_on_netpoll(me)
                :: else
                fi;
                // sleep_once, the pollers' marks passed on
                interrupts_on_g0(me);
                arm_guarded(me);
                if
#if BUG == 4
                :: nextp[me] == NONE -> halt(me) // a mark made just before goes unseen
#else
                :: nextp[me] == NONE && !resched[me] -> halt(me)
#endif
                :: else
                fi
            fi
        :: else ->
            interrupts_on_g0(me);
            arm_guarded(me);
#if BUG == 3
            halt(me) // without a last look with interrupts off
#else
            if
            :: nextp[me] == NONE && !resched[me] && !WANTS_POLL -> halt(me)
            :: else
            fi
#endif
        fi;
        if
        :: awake
        :: else ->
            resched[me] = false;
            if
            :: nextp[me] != NONE -> take_nextp(me); awake = true
            :: else
            fi
        fi
    od
}

#define TICK(m) (WANTS_POLL || DUE_FOR(m) || resched[m])

proctype core(byte me)
{
    byte wp, wm, gotp;
    bool found, was_spinning, awake, work;
    if
    :: held[me] == NONE -> // m_main
        idle_m[me] = true;
        sleep_until_p(me)
    :: else
    fi;
    do
    :: true -> // schedule
        found = false;
        if
        :: resched[me] -> sched_poll(me)
        :: else
        fi;
        look_at_queues(me);
        do
        :: found -> break
        :: !found -> // find_runnable
            sched_poll(me);
            look_at_queues(me);
            if
            :: found
            :: else -> steal_work(me)
            fi;
            if
            :: found
            :: else ->
                stop_m(me);
                sleep_until_p(me)
            fi
        od;
        if
        :: atomic {
               spinning[me] -> spinning[me] = false;
               assert(nmspinning > 0);
               nmspinning--
           };
            quiet = false;
            wakep(me)
        :: else
        fi;
        // A goroutine runs.
        do
        :: break // ends
        :: INTERRUPTED(me) ->
            interrupt(me);
            if
            :: resched[me] -> // preempt_m
                sched_poll(me);
                ring[held[me]]++;
                wakep(me);
                break
            :: else
            fi
        :: atomic { spawns > 0 -> spawns-- };
            put_next(held[me]);
            wakep(me)
#ifdef TIMERS
        :: atomic { !timer_used -> timer_used = true; timer_p = held[me]; timer = ARMED };
            hw_armed[me] = true
#endif
        :: atomic { hogs < HOGS -> hogs++ };
            // Computes for ever; interrupts, and ticks for what a tick looks at, still come.
            atomic { INTERRUPTED(me) || TICK(me) -> hogs-- };
            if
            :: INTERRUPTED(me) -> interrupt(me)
            :: else -> rearm(me)
            fi;
            if
            :: resched[me] ->
                sched_poll(me);
                ring[held[me]]++;
                wakep(me);
                break
            :: else
            fi
        od
    od
}

proctype device(byte at)
{
    do
    :: to_come > 0 ->
        atomic { to_come--; packets++ };
        if
        :: atomic {
               !masked -> masked = true;
               if
               :: device_irq[0] = true
               :: device_irq[MS - 1] = true
               fi
           }
        :: atomic { masked -> skip }
        fi
    :: to_come == 0 -> break
    od
}

proctype time()
{
    do
    :: atomic { quiet -> quiet = false }
    :: atomic { timer == ARMED -> timer = DUE }
    od
}

proctype judge()
{
end:
    timeout;
    if
    :: ANY_IDLE_P -> assert(RUNNABLE == 0); assert(packets == 0); assert(timer == UNARMED)
    :: else
    fi;
    assert(nmspinning == 0);
    assert(!pending || !ANY_IDLE_P)
}

init
{
    atomic {
        byte i;
        for (i : 0 .. MS - 1) {
            nextp[i] = NONE;
            held[i] = NONE
        }
        for (i : 0 .. PS - 1) {
            guard[i] = i;
            idle_p[i] = (i != 0)
        }
        held[0] = 0;
        next[0] = true;
        for (i : 0 .. MS - 1) {
            run core(i)
        }
        run device(0);
        run time();
        run judge()
    }
}
