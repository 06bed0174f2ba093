#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64,host timeout=120
"""make run TRACE=: the file is what trace viewers read, and what it says can have happened: times
never go back on a core, slices begin and end in pairs, no goroutine is on two cores at once, who
was readied runs later. What the application prints is not touched by it."""
import copy
import json
import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
IMAGES = os.environ.get('HEDDLE_IMAGES')
ARCH = os.environ.get('HEDDLE_ARCH', 'x86_64')


def run(example, status=0, **words):
    words = {'APP': f'examples/{example}', 'ARCH': ARCH, 'KVM': '0', 'MEM': '128M', 'PORTS': '',
             **words}
    image = ['--image', f'{IMAGES}/{example}.elf'] if IMAGES else []
    result = subprocess.run([ROOT + '/tools/run', *image, *(f'{k}={v}' for k, v in words.items())],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True)
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    return result.stdout


def fail(text, event):
    raise AssertionError(f'{text}: {event}')


def check(trace):
    """Raises unless the trace is consistent; returns its slices as (begin, end, core, name)."""
    last, open_on, slices, flows = {}, {}, [], {}
    for event in trace['traceEvents']:
        phase, core = event['ph'], event.get('tid')
        if phase == 'M':
            continue
        if event['ts'] < last.get(core, 0):
            fail('time goes back', event)
        last[core] = event['ts']
        if phase == 'B':
            if core in open_on:
                fail('begins within another', event)
            open_on[core] = event
        elif phase == 'E':
            begin = open_on.pop(core, None)
            if begin is None or begin['name'] != event['name']:
                fail('ends what did not begin', event)
            slices.append((begin['ts'], event['ts'], core, event['name']))
        elif phase == 's':
            flows[event['id']] = event['ts']
        elif phase == 'f':
            if flows.pop(event['id'], event['ts'] + 1) > event['ts']:
                fail('ran before it was readied', event)
        elif phase != 'i':
            fail('unknown phase', event)
    if open_on:
        fail('slices without an end', open_on)
    latest = {}
    for begin, end, core, name in sorted(slices):
        if name.startswith('G'):
            if begin < latest.get(name, (0, 0))[0]:
                fail(f'{name} is on core {core} and on core {latest[name][1]}', (begin, end))
            latest[name] = end, core
    return slices


def broken(trace, change):
    """Whether check finds out about a trace that was changed."""
    trace = copy.deepcopy(trace)
    change(trace['traceEvents'])
    try:
        check(trace)
    except AssertionError:
        return True
    return False


def swap(events):
    ends = [i for i, e in enumerate(events) if e['ph'] == 'E']
    events[ends[3]], events[ends[9]] = events[ends[9]], events[ends[3]]


def drop(events):
    del events[next(i for i, e in enumerate(events) if e['ph'] == 'E')]


def double(events):
    """A slice of a goroutine once more on a core nobody has used."""
    begin = next(e for e in events if e['ph'] == 'B' and e['name'].startswith('G'))
    end = next(e for e in events if e['ph'] == 'E' and e['name'] == begin['name'])
    events += [{**begin, 'tid': 77}, {**end, 'tid': 77}]


with tempfile.TemporaryDirectory() as folder:
    path = folder + '/trace.json'

    def load():
        with open(path, encoding='utf-8') as f:
            trace = json.load(f)
        os.remove(path)
        return trace

    plain = run('primes', SMP=1, LOG=0, ARGS='60')
    for smp in (1, 2, 4):
        assert run('primes', SMP=smp, LOG=0, ARGS='60', TRACE=path) == plain
        trace = load()
        slices = check(trace)
        names = {name for *_, name in slices}
        cores = {core for *_, core, _ in slices}
        assert 'G1 main' in names and len(names) > 60, names
        assert cores <= set(range(smp)), cores
        why = {e['args']['why'] for e in trace['traceEvents'] if e['ph'] == 'E' and 'args' in e}
        assert 'chan receive' in why and 'chan send' in why, why
        assert not any(trace['otherData']['events_lost'].values())
        print(f'{smp}: {len(slices)} slices of {len(names)} goroutines')
    assert broken(trace, swap) and broken(trace, drop) and broken(trace, double)

    # More events than a ring holds: the last ones stay.
    run('primes', SMP=2, LOG=0, ARGS='60', TRACE=path, KOPTS='trace_events=64')
    trace = load()
    assert check(trace)
    assert sum(trace['otherData']['events_lost'].values()) > 100

    # A dump on the way, and one at the end of what came after it.
    out = run('primes', SMP=2, LOG=0, ARGS='300', TRACE=path, KOPTS='trace_ms=1')
    assert out == run('primes', SMP=1, LOG=0, ARGS='300')
    trace = load()
    check(trace)
    assert trace['otherData']['dumps'] == 2

    # A machine that is stopped writes none.
    run('primes', 124, SMP=1, LOG=0, ARGS='100000', TIMEOUT=1, TRACE=path)
    assert not os.path.exists(path)
