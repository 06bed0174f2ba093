#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=240
"""tools/netlab, and the appliance on its wire: the same seed does the same to the same frames; a
thousand connections without sockets through loss, doubling, reordering and damage; and, where a tap
device is to be had in a namespace of our own, this machine's TCP against ours on such a wire, by
checksum."""
import hashlib
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from appliance import ROOT, Appliance

NETLAB = ROOT + '/tools/netlab'
BAD = '--loss 1% --dup 1% --reorder 2% --corrupt 0.2% --delay 1ms --jitter 500us'.split()
HERE = tempfile.TemporaryDirectory(prefix='netlab')


def path(name):
    return f'{HERE.name}/{name}'


def unix(here, there):
    return f'unix:{path(here)},{path(there)}'


class Wire:
    """netlab wire, ended with the block; then .report holds what it said of each direction."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen(
            [NETLAB, 'wire', *self.options], stdout=subprocess.PIPE, text=True,
            env={**os.environ, 'HEDDLE_DIE_WITH_PARENT': '1'})
        assert self.process.stdout.readline() == 'wire: ready\n'
        return self

    def __exit__(self, *_):
        self.process.terminate()
        lines = self.process.stdout.read()
        assert self.process.wait(10) == 0
        self.report = {m[1]: {name: int(n) for n, name in re.findall(r'(\d+) (\w+)', m[2])}
                       for m in re.finditer(r'^(\w-\w): (.*)$', lines, re.M)}


# ---- the wire alone ----

def end(name, peer):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path(name))
    s.settimeout(1)
    return s


def through(count, *options):
    """What arrives of count frames, in order, and after how many seconds the last; the report."""
    with end('left', 'a') as left, end('right', 'b') as right, \
            Wire('--a', unix('a', 'left'), '--b', unix('b', 'right'), *options) as wire:
        got, began = [], time.monotonic()

        def receive():
            try:
                while frame := right.recv(2048):
                    got.append(frame)
            except TimeoutError:
                pass

        reader = threading.Thread(target=receive)
        reader.start()
        for n in range(count):
            left.sendto(struct.pack('>I', n) * 250, path('a'))
        reader.join()
        took = time.monotonic() - began - 1
    for name in ('left', 'right'):
        os.unlink(path(name))
    return got, took, wire.report['a-b']


def wire_alone():
    faults = '--loss 20% --burst 3 --dup 5% --corrupt 5%'.split()
    one, _, report = through(2000, *faults, '--seed', '5')
    assert report['frames'] == 2000, report
    assert 300 < report['lost'] < 500, report
    assert len(one) == 2000 - report['lost'] + report['doubled'], report
    again, _, _ = through(2000, *faults, '--seed', '5')
    assert again == one, 'the same seed did something else'
    other, _, _ = through(2000, *faults, '--seed', '6')
    assert other != one, 'another seed did the same'
    clean, took, _ = through(200, '--rate', '4mbit', '--queue', '1m', '--delay', '100ms',
                             '--pcap', path('pcap'))
    assert clean == [struct.pack('>I', n) * 250 for n in range(200)]
    assert took > 0.45, f'200,000 bytes at 4 Mb/s and 100 ms came within {took:.3f} s'
    with open(path('pcap'), 'rb') as f:
        head = f.read(24)
        assert struct.unpack('<I', head[:4])[0] == 0xa1b23c4d
        for n in range(200):
            assert struct.unpack('<4I', f.read(16))[2:] == (1000, 1000)
            assert f.read(1000) == clean[n]
        assert not f.read(1)
    short, _, report = through(200, '--rate', '1mbit', '--queue', '20k')
    assert report['overflowed'] > 100 and len(short) == 200 - report['overflowed'], report


# ---- an appliance on it ----

def appliance(example, smp):
    return Appliance(example, smp=smp, kopts='ip=eth1:10.8.0.1/13', qemu=(
        f'-netdev dgram,id=n1,local.type=unix,local.path={path("qemu")},'
        f'remote.type=unix,remote.path={path("b")} -device virtio-net-pci,romfile=,netdev=n1'))


def load(*options):
    r = subprocess.run([NETLAB, 'load', '--end', unix('load', 'a'), '--target', '10.8.0.1:80',
                        '--from', '10.8.1.0', *options], stdout=subprocess.PIPE, text=True,
                       timeout=120)
    print(r.stdout, end='')
    return r


def crowd():
    with Wire('--a', unix('a', 'load'), '--b', unix('b', 'qemu'), *BAD) as wire, \
            appliance('http', 2) as a:
        a.wait_for('listening')
        r = load('--connections', '1000', '--requests', '500', '--hold', '3s')
        assert r.returncode == 0, 'not every connection lived to its end'
        assert 'connected: 1000 of 1000' in r.stdout and 'held: 1000 open' in r.stdout
        assert re.search(r'^closed: 1000 in .* 0 dead', r.stdout, re.M)
        assert int(re.search(r'(\d+) answers', r.stdout)[1]) > 500
    for direction in wire.report.values():
        assert min(direction[x] for x in ('lost', 'doubled', 'reordered', 'corrupted')) > 0


def stream(seed, size):
    """Sends pseudo-random bytes to the echo appliance and compares what comes back."""
    data = random.Random(seed).randbytes(size)
    digest, got = hashlib.sha256(), 0
    with socket.create_connection(('10.8.0.1', 7), 30) as s:
        s.settimeout(60)
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(1)), daemon=True)
        sender.start()
        while part := s.recv(65536):
            digest.update(part)
            got += len(part)
        sender.join()
    assert got == size and digest.digest() == hashlib.sha256(data).digest(), 'the data changed'


def streams():
    with Wire('--a', 'tap:lab0,10.8.0.9/13', '--b', unix('b', 'qemu'), *BAD) as wire, \
            appliance('echo', 2) as a:
        a.wait_for('listening')
        stream(0, 1000)                # whoever is first finds neighbours and routes
        threads = [threading.Thread(target=stream, args=(n, 1 << 20)) for n in range(1, 5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print('4 times 1 MB each way intact')
    assert wire.report['a-b']['lost'] > 10 and wire.report['b-a']['lost'] > 10


if sys.argv[1:] == ['namespace']:
    failed = []
    threading.excepthook = lambda e: (failed.append(e), sys.__excepthook__(*e[:3]))
    streams()
    sys.exit(len(failed))

wire_alone()
crowd()
HERE.cleanup()
apart = ['unshare', '--map-root-user', '--net']
if subprocess.run([*apart, 'test', '-c', '/dev/net/tun']).returncode:
    print('no namespaces or no tap device here: not tried against this machine\'s TCP')
else:
    sys.exit(subprocess.run([*apart, sys.executable, __file__, 'namespace']).returncode)
