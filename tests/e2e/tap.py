#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=host timeout=60
"""The http example as a process on a tap device, as root in a network namespace of its own."""
import os
import subprocess
import sys

from appliance import Appliance

if os.getuid() != 0:
    print('no tap device without root')
    sys.exit(0)
if len(sys.argv) == 1:
    os.execvp('unshare', ['unshare', '-n', sys.executable, __file__, 'inside'])
for words in ('tuntap add h0 mode tap', 'addr add 10.0.9.1/24 dev h0', 'link set h0 up',
              'link set lo up'):
    subprocess.run(['ip', *words.split()], check=True)

with Appliance('http', smp=2, kopts='net=tap:h0 ip=10.0.9.2/24') as a:
    a.wait_for('listening on')
    for _ in range(200):
        page = subprocess.run(['curl', '-sS', '-m', '20', 'http://10.0.9.2/'], check=True,
                              capture_output=True, text=True).stdout
        assert page == 'Hello, world!\n', page
print('200 pages over a tap device')
