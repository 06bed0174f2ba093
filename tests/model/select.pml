// SPDX-License-Identifier: BSD-2-Clause
// test: runs="-DSELECTS=2|-DDEADLINE" bugs="-DBUG=1|-DBUG=2|-DBUG=3|-DBUG=4|-DBUG=5 -DDEADLINE"
//
// Selects against a close and a send, as sched/chan.h, sched/chan.c and sched/select.c do it: the
// locks of all channels in one order, a record in each queue, the claim by which one waker wins,
// the commit that releases the locks when the goroutine is off its stack, and pass 3, which takes
// the lock of every record that did not win before the records go.
//
// Two goroutines wait in a select to receive from channels 0 and 1, both unbuffered. One sends an
// element on 0, one closes 1, and with DEADLINE a timer may end the first select. One statement is
// one access that another core could see.
//
// Claims: a record is touched only while it exists; a goroutine is readied only when it is parked,
// and once; an element that was sent was received once; both selects end; nobody waits for a lock
// for ever.
//
// Left out: buffers, sends in a select, which of two waiters came first (either may be taken), more
// than one case a channel.

#ifndef BUG
#define BUG 0
#endif
#define NOBODY 7
#define TIMEOUT 5

mtype = { RUNNING, WAITING, RUNNABLE };
bool locked[2];
bool closed;                      // channel 1
bool queued[4];                   // record of select s in the queue of channel c: at 2 * s + c
bool exists[2];                   // the records of select s, on its stack
bool claimed[2];
mtype status[3] = RUNNING;        // of the selects and of the sender
byte param[2];                    // which case won
bool send_waits, sender_served;
byte sent, received, ended;
bool timer_armed, timer_runs;

#define LOCK(c) atomic { !locked[c] -> locked[c] = true }
#define UNLOCK(c) locked[c] = false

inline goready(g)
{
    assert(status[g] == WAITING);
    status[g] = RUNNABLE
}

// select_claim: true in `won` for one caller only. The record is looked at.
inline claim(s, won)
{
    assert(exists[s]);
#if BUG == 3
    won = !claimed[s];
    claimed[s] = true
#else
    atomic { won = !claimed[s]; claimed[s] = true }
#endif
}

// waitq_pop of channel c: the select whose record was taken and claimed, or NOBODY.
inline pop(c, s)
{
    do
    :: atomic { queued[c] -> queued[c] = false; s = 0 };
        claim(0, won);
        if
        :: won -> break
        :: else
        fi
    :: atomic { queued[2 + c] -> queued[2 + c] = false; s = 1 };
        claim(1, won);
        if
        :: won -> break
        :: else
        fi
    :: atomic { !queued[c] && !queued[2 + c] -> s = NOBODY; break }
    od
}

proctype sender()
{
    byte s;
    bool won;
    LOCK(0);
    pop(0, s);
    if
    :: s != NOBODY ->
        assert(exists[s]);
        param[s] = 0;
        sent++;
        UNLOCK(0);
        goready(s)
    :: else ->
        send_waits = true;
        status[2] = WAITING;
        UNLOCK(0);
end_waits:
        status[2] == RUNNABLE;
        status[2] = RUNNING;
        sent++
    fi
}

proctype closer()
{
    byte s, first = NOBODY, second = NOBODY;
    bool won;
    LOCK(1);
    closed = true;
    pop(1, s);
    if
    :: s != NOBODY ->
        assert(exists[s]);
        param[s] = 1;
        first = s;
        pop(1, s);
        if
        :: s != NOBODY -> assert(exists[s]); param[s] = 1; second = s
        :: else
        fi
    :: else
    fi;
    UNLOCK(1);
    if
    :: first != NOBODY -> goready(first)
    :: else
    fi;
    if
    :: second != NOBODY -> goready(second)
    :: else
    fi
}

// The timer function of a deadline: one more party that may claim.
proctype deadline()
{
    bool won;
end_unarmed:
    atomic { timer_armed -> timer_armed = false; timer_runs = true };
    claim(0, won);
    if
    :: won -> param[0] = TIMEOUT; goready(0)
    :: else
    fi;
    timer_runs = false
}

inline unqueue(me, c)
{
#if BUG == 2
    if // a record that is off its queue is not looked at under the lock once more
    :: !queued[2 * me + c]
    :: else -> LOCK(c); queued[2 * me + c] = false; UNLOCK(c)
    fi
#else
    LOCK(c);
    queued[2 * me + c] = false;
    UNLOCK(c)
#endif
}

inline wait_for_one(me)
{
    claimed[me] = false;
    exists[me] = true;
    queued[2 * me] = true;
    queued[2 * me + 1] = true;
#if BUG != 1
    status[me] = WAITING;
#endif
#ifdef DEADLINE
    if
    :: me == 0 -> timer_armed = true
    :: else
    fi;
#endif
    UNLOCK(0);
    UNLOCK(1);
#if BUG == 1
    status[me] = WAITING; // after others can see it
#endif
    status[me] == RUNNABLE;
    status[me] = RUNNING;
#ifdef DEADLINE
    timer_armed = (me == 0 -> false : timer_armed);
#if BUG != 5
    // timer_disarm_sync
    me != 0 || !timer_runs;
#endif
#endif
    if
    :: param[me] != 0 -> unqueue(me, 0)
    :: else
    fi;
    if
    :: param[me] != 1 -> unqueue(me, 1)
    :: else
    fi;
    exists[me] = false;
    assert(!queued[2 * me] && !queued[2 * me + 1]);
    if
    :: param[me] == 0 -> received++
    :: else
    fi
}

proctype selects(byte me)
{
#if BUG == 4
    if // each in its own order
    :: me == 0 -> LOCK(0); LOCK(1)
    :: me == 1 -> LOCK(1); LOCK(0)
    fi;
#else
    LOCK(0);
    LOCK(1);
#endif
    if
    :: atomic { send_waits -> send_waits = false };
        received++;
        UNLOCK(1);
        UNLOCK(0);
        goready(2)
    :: closed ->
        UNLOCK(1);
        UNLOCK(0)
    :: !send_waits && !closed -> wait_for_one(me)
    fi;
    ended++
}

proctype judge()
{
end:
    timeout;
    assert(ended == 2);
    assert(sent == received);
    assert(!locked[0] && !locked[1])
}

init
{
    atomic {
        run selects(0);
        run selects(1);
        run sender();
        run closer();
#ifdef DEADLINE
        run deadline();
#endif
        run judge()
    }
}
