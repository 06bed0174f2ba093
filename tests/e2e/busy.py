#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: timeout=120
"""Packets interrupt goroutines: with an endless loop on every core and slices of a second, 40
requests one after another are answered; were each to wait for a slice to end, that would take
a minute."""
import os
import time

from appliance import Appliance, machines

# The hostile build gives way at every unlock: behind a loop that would be a slice each time.
hostile = '-hostile' in os.environ.get('HEDDLE_IMAGES', '')
slice_us = 1000 if hostile else 1000000

for machine, smp in machines(('q35', 1), ('q35', 2), ('microvm', 2)):
    with Appliance('busy', ports=[80], smp=smp, machine=machine, kopts=f'slice_us={slice_us}') as a:
        a.wait_for('busy: computing')
        a.wait_serving(80, b'\n')
        with a.connect(80) as s:
            begin, answers = time.monotonic(), []
            for _ in range(40):
                s.sendall(b'?\n')
                answer = b''
                while not answer.endswith(b'\n'):
                    data = s.recv(64)
                    assert data, 'the connection ended'
                    answer += data
                answers.append(int(answer))
            took = time.monotonic() - begin
        assert answers == sorted(answers)
        assert took < 20, f'{took:.1f} s for 40 requests'
        print(f'{machine} {smp}: {took / 40 * 1000:.2f} ms a request under load')
