# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=180
"""tools/run itself: what it refuses, the statuses it ends with, input and output through pipes, an
application outside the tree, and that no emulator is left behind when it is stopped or killed."""
import os
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    if (strcmp(argv[1], "spin") == 0)
        for (puts("spinning");;)
            __asm__ volatile("");
    if (strcmp(argv[1], "flood") == 0)
        for (;;)
            puts("0123456789 0123456789 0123456789");
    if (strcmp(argv[1], "cat") == 0)
        for (int c; (c = getchar()) != EOF;)
            putchar(c);
    if (strcmp(argv[1], "args") == 0)
        for (int i = 0; i < argc; i++)
            printf("<%s>", argv[i]);
    if (strcmp(argv[1], "reset") == 0)
        __asm__ volatile("lidt %0; int3" : : "m"((char[10]){ 0 }));
    return argc > 2 ? atoi(argv[2]) : 0;
}
"""


def run(*words, stdin=b'', **more):
    return subprocess.run([ROOT + '/tools/run', *words], input=stdin, capture_output=True,
                          timeout=120, **more)


def check(got, want, what):
    assert got == want, f'{what}: {got!r} instead of {want!r}'


def refusals():
    with socket.socket() as busy:
        busy.bind(('127.0.0.1', 0))
        busy.listen()
        port = busy.getsockname()[1]
        cases = [(['FOO=1'], 'unknown word'), (['SMP=0'], 'SMP'), (['SMP=65'], 'SMP'),
                 (['SMP=two'], 'SMP'), (['MEM=lots'], 'MEM'), (['PORTS=80'], 'PORTS'),
                 (['PORTS=1:2 1:3'], 'twice'), (['PORTS=1:70000'], 'PORTS'),
                 (['ARCH=vax'], 'ARCH'), (['BOOT=floppy'], 'BOOT'), (['LOG=2'], 'LOG'),
                 (['MACHINE=pc'], 'MACHINE'), (['TIMEOUT=soon'], 'TIMEOUT'), (['KVM=2'], 'KVM'),
                 (['NIC=ne2000'], 'NIC'), (['DISK=/no/such'], 'DISK'), (['MODE=slow'], 'MODE'),
                 (['ARGS="open'], 'ARGS'), (['KOPTS=--'], 'KOPTS'),
                 (['APP=/no/such/app'], '/no/such/app'), ([f'PORTS={port}:80'], 'in use')]
        for words, text in cases:
            result = run(*words)
            check(result.returncode, 125, words)
            error = result.stderr.decode()
            assert text in error and error.count('\n') == 1, f'{words}: {error!r}'
            check(result.stdout, b'', words)


def statuses(app):
    for machine in ('q35', 'microvm'):
        common = [app, 'LOG=0', 'PORTS=', 'KVM=0', 'MEM=64M', f'MACHINE={machine}']
        check(run(*common, 'ARGS=x 7').returncode, 7, 'status')
        check(run(*common, 'ARGS=x 255').returncode, 255, 'status')
        result = run(*common, 'ARGS=reset')
        check(result.returncode, 125, 'a machine that resets')
        assert b'without reporting' in result.stderr, result.stderr
        started = time.monotonic()
        check(run(*common, 'ARGS=spin', 'TIMEOUT=2').returncode, 124, 'TIMEOUT')
        assert time.monotonic() - started < 30
        result = run(*common, r"""ARGS=args 0 '' 'a b' "c\"d" e\\f slice_us=1 -- x=""")
        check(result.stdout, rb'<app><args><0><><a b><c"d><e\f><slice_us=1><--><x=>', 'ARGS')


def pipes(app):
    common = [app, 'LOG=0', 'PORTS=', 'KVM=0', 'MEM=64M']
    text = b''.join(b'line %d of what is typed\n' % i for i in range(400)) + b'no newline'
    check(run(*common, 'ARGS=cat', stdin=text).stdout, text, 'cat through pipes')
    with tempfile.TemporaryFile() as f:
        f.write(text)
        f.seek(0)
        result = subprocess.run([ROOT + '/tools/run', *common, 'ARGS=cat'], stdin=f,
                                capture_output=True, timeout=60)
        check(result.stdout, text, 'cat from a file')
    # Input that is not asked for is left to others.
    shell = f"{{ {ROOT}/tools/run {' '.join(common)} 'ARGS=x 3'; echo $?; cat; }}"
    result = subprocess.run(['sh', '-c', shell], input=b'for cat\n', capture_output=True,
                            timeout=60)
    check(result.stdout, b'3\nfor cat\n', 'input left alone')


def emulators(parent):
    """Process ids of QEMUs with parent's mark in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                line = f.read()
        except OSError:
            continue
        if line.startswith(b'qemu-system') and parent.encode() in line:
            found.append(int(pid))
    return found


def nothing_left(app, mark):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, None):
        words = [app, 'LOG=0', 'PORTS=', 'KVM=0', 'MEM=64M', f'KOPTS=mark={mark}',
                 'ARGS=flood' if sig is None else 'ARGS=spin']
        process = subprocess.Popen([ROOT + '/tools/run', *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        assert process.stdout.readline(), 'no output'
        assert emulators(mark), 'no emulator to be seen'
        if sig is None:
            process.stdout.close()
        else:
            process.send_signal(sig)
        status = process.wait(20)
        want = {None: 128 + signal.SIGPIPE, signal.SIGKILL: -signal.SIGKILL}.get(sig)
        check(status, want if want is not None else 128 + sig, f'status after {sig}')
        deadline = time.monotonic() + 10
        while emulators(mark):
            assert time.monotonic() < deadline, f'an emulator is left after {sig}'
            time.sleep(0.05)


def main():
    refusals()
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/app.c'
        with open(path, 'w', encoding='utf-8') as f:
            f.write(SOURCE)
        app = 'APP=' + path
        result = run(app, 'LOG=0', 'PORTS=', 'KVM=0', 'ARGS=x 0')
        check(result.returncode, 0, result.stderr)
        statuses(app)
        pipes(app)
        nothing_left(app, f'm{os.getpid()}')
        with open(path, 'a', encoding='utf-8') as f:
            f.write('syntax error\n')
        check(run(app, 'LOG=0').returncode, 125, 'an application that does not compile')


main()
