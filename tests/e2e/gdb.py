#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=120
"""tools/gdb.py at an appliance: parked, running and preempted goroutines are listed and backtraced
right, core by core, and the appliance does not notice: what its goroutines hold in registers stays.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile

from appliance import ROOT, Appliance

SOURCE = r"""
#include <heddle.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

static _Atomic(int) broken;
static struct chan *never;

__attribute__((noinline)) static int descend(int depth)
{
    volatile int here = depth;
    int v = here;
    if (depth == 0)
        chan_recv(never, &v);
    else
        v += descend(depth - 1);
    return v;
}

static void waits(void *arg) { descend((int)(intptr_t)arg); }

__attribute__((noinline)) static void spin_forever(uint64_t key)
{
    for (uint64_t i = 0;; i++) {
        uint64_t a = i * 1000003, b = a ^ key;
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(key));
        if ((a ^ b) != key)
            atomic_store(&broken, 1);
    }
}

static void hog(void *arg) { spin_forever((uintptr_t)arg); }

int main(void)
{
    never = chan_make(sizeof(int), 0);
    go_with(&(struct go_attr){ .name = "waiter" }, waits, (void *)3);
    for (uintptr_t n = 0; n < 4; n++)
        go_with(&(struct go_attr){ .name = "hog" }, hog, (void *)(0x1234000 + n));
    time_sleep(20 * TIME_MS);
    printf("ready\n");
    getchar();
    printf(atomic_load(&broken) ? "broken\n" : "whole\n");
    return 0;
}
"""


def gdb(image, sock, *commands):
    words = ['gdb', '-nx', '-q', '-batch', '-ex', 'set pagination off', '-ex', 'set width 0',
             '-ex', f'target remote {sock}', '-x', ROOT + '/tools/gdb.py']
    for command in commands:
        words += ['-ex', 'echo <<<\\n', '-ex', command]
    result = subprocess.run([*words, image], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=60, text=True)
    outputs = result.stdout.split('<<<\n')[1:]
    assert len(outputs) == len(commands), (result.stdout, result.stderr)
    assert 'Traceback' not in result.stderr, result.stderr
    return outputs, result.stderr


def check(smp, image, sock):
    (listing, ms, ps, everything, _), errors = gdb(
        image, sock, 'info goroutines', 'info ms', 'info ps', 'goroutine all bt full',
        'goroutine 99999 bt')
    rows = [line[2:].split() for line in listing.splitlines()]
    numbers = {row[0]: ' '.join(row[1:]) for row in rows}
    waiter = [n for n, row in numbers.items() if ' waiter ' in row]
    hogs = [row for row in numbers.values() if ' hog ' in row]
    assert len(waiter) == 1, rows
    assert numbers[waiter[0]].startswith('chan receive waiter descend at '), rows
    assert len(hogs) == 4 and all('spin_forever at ' in row for row in hogs), rows
    assert len([row for row in hogs if row.startswith('running, core ')]) <= smp, rows
    assert [row for row in hogs if row.startswith('runnable')], rows
    assert re.search(r'^[ *] 1 .* main ', listing, re.M), listing
    assert len(re.findall(r'^  M \d  P \d  G (?:\d+|-)  (?:awake|spinning)', ms, re.M)) == smp, ms
    assert len(re.findall(r'^  P \d  running  M \d', ps, re.M)) == smp, ps

    # Each hog's frames with the number it keeps in a register, wherever it was stopped.
    traces = everything.split('\ngoroutine ')[1:]
    keys = []
    for trace in traces:
        if ': hog\n' in trace:
            match = re.search(r'spin_forever \(key=(?:key@entry=)?(\d+)\)', trace)
            assert match, trace
            keys.append(int(match[1]))
    assert sorted(keys) == [0x1234000 + n for n in range(4)], keys
    waits = next(t for t in traces if ': waiter\n' in t)
    depths = re.findall(r'in descend .*\n +here = (\d)\n', waits)
    assert depths == ['0', '1', '2', '3'] and 'goroutine_start' in waits, waits
    assert 'there is no goroutine 99999' in errors, errors


with tempfile.TemporaryDirectory() as folder:
    source = folder + '/threads.c'
    with open(source, 'w', encoding='utf-8') as f:
        f.write(SOURCE)
    environment = {k: v for k, v in os.environ.items() if k not in ('MAKEFLAGS', 'MFLAGS')}
    images = os.environ.get('HEDDLE_IMAGES', f'{ROOT}/build/x86_64-normal/examples')
    build, mode = re.fullmatch(r'(.*)/x86_64-(\w+)/examples', images).groups()
    built = subprocess.run(['make', '-C', ROOT, '--no-print-directory', 'build', 'APP=' + source,
                            'LOG=0', 'MODE=' + mode, 'BUILD=' + os.path.relpath(build, ROOT)],
                           env=environment, text=True, stdout=subprocess.PIPE, check=True)
    elf = os.path.join(ROOT, built.stdout.split()[-1])
    try:
        for cores in (1, 2):
            path = f'{folder}/gdb{cores}'
            with Appliance('threads', smp=cores, image=elf, kopts='slice_us=1000',
                           qemu=f'-gdb unix:{path},server=on,wait=off') as a:
                a.wait_for('^ready')
                for _ in range(4):
                    check(cores, elf[:-len('.elf')] + '.debug', path)
                a.type('\n')
                a.wait_for('^whole')
                assert a.wait_exit() == 0
    finally:
        for leftover in glob.glob(elf[:-len('.elf')] + '.*'):
            (shutil.rmtree if os.path.isdir(leftover) else os.remove)(leftover)
