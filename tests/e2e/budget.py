#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=120
"""What the scheduler's operations cost in instructions is within bench/budget.txt; and tools/budget
finds out about an operation that has grown by 7 %, and about one without a budget."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUDGET = ROOT + '/bench/budget.txt'

if not re.search(r'-normal/', os.environ.get('HEDDLE_IMAGES', '-normal/')):
    print('only what is shipped is measured')
    sys.exit(0)


def budget(*words):
    ran = subprocess.run([ROOT + '/tools/budget', *words], stdout=subprocess.PIPE, text=True)
    print(ran.stdout)
    return ran


environment = {k: v for k, v in os.environ.items() if k not in ('MAKEFLAGS', 'MFLAGS')}
built = subprocess.run(['make', '-C', ROOT, '--no-print-directory', 'build', 'LOG=0',
                        'APP=bench/micro.c'], stdout=subprocess.PIPE, text=True, check=True,
                       env=environment)
image = os.path.join(ROOT, built.stdout.split()[-1])
assert budget('--image', image).returncode == 0
with tempfile.TemporaryDirectory() as folder:
    with open(BUDGET, encoding='utf-8') as f:
        lines = [line for line in f if 'mutex_uncontended' not in line]
    path = folder + '/budget.txt'
    with open(path, 'w', encoding='utf-8') as f:
        for line in lines:
            words = line.split()
            if words[:3] == ['x86_64', '1', 'gosched_2g']:
                line = ' '.join([*words[:3], f'{float(words[3]) / 1.07:.1f}']) + '\n'
            f.write(line)
    failed = budget('--image', image, '--budget', path)
    assert failed.returncode == 1
    names = failed.stdout.split('too many instructions: ')[1].split()
    assert sorted(set(names)) == ['gosched_2g', 'mutex_uncontended'], names
