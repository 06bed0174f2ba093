#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=host timeout=120
"""failmalloc= and failpage=: the n-th allocation from boot on fails, for every n up to well into
the application. The application succeeds all the same, or is told and ends with status 1, and
everything it has printed by then is right; a kernel that cannot even start says that it has no
memory. Nothing hangs or crashes."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
IMAGES = os.environ.get('HEDDLE_IMAGES')
LAST = 30


def run(option):
    image = ['--image', f'{IMAGES}/primes.elf'] if IMAGES else []
    return subprocess.run([ROOT + '/tools/run', *image, 'APP=examples/primes', 'ARCH=host', 'SMP=2',
                           f'KOPTS={option}', 'ARGS=100', 'LOG=0'], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, text=True)


whole = run('failmalloc=0')
assert whole.returncode == 0 and len(whole.stdout.split()) > 20, whole
assert run('failmalloc=100000000').stdout == whole.stdout
struck = {}
for name in 'failmalloc', 'failpage':
    for n in range(1, LAST + 1):
        got = run(f'{name}={n}')
        struck[got.returncode] = struck.get(got.returncode, 0) + 1
        output = got.stdout + got.stderr
        if got.returncode == 0:
            ok = got.stdout == whole.stdout
        elif got.returncode == 1:
            ok = whole.stdout.startswith(''.join(re.findall(r'^\d+\n', got.stdout, re.M)))
        else:
            ok = got.returncode == 2 and re.search('^fatal error: .*no memory', output, re.M)
        assert ok, f'{name}={n}: status {got.returncode}\n{output}'
assert struck.get(0) and struck.get(1), struck
print('refused', struck)
