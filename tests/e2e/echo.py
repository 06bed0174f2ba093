#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: timeout=300
"""The echo example: 64 MB to it and back on one connection compared by checksum, many connections
at once with random sizes, half-close."""
import hashlib
import random
import threading

from appliance import Appliance, machines

MEGABYTE = 1 << 20
TOTAL = 64 * MEGABYTE


def pattern(seed):
    return random.Random(seed).randbytes(MEGABYTE)


def send_all(s, block, total):
    for _ in range(total // len(block)):
        s.sendall(block)
    s.shutdown(1)                      # the rest still comes back


def bulk(a):
    block, digest, got = pattern(1), hashlib.sha256(), 0
    want = hashlib.sha256()
    for _ in range(TOTAL // MEGABYTE):
        want.update(block)
    with a.connect(7, 60) as s:
        sender = threading.Thread(target=send_all, args=(s, block, TOTAL), daemon=True)
        sender.start()
        while data := s.recv(262144):
            digest.update(data)
            got += len(data)
        sender.join(30)
    assert got == TOTAL, f'{got} of {TOTAL} bytes came back'
    assert digest.digest() == want.digest(), 'the data changed'


connecting = threading.Lock()


def connect(a):
    """One at a time until data has come back: the emulator's listen queue on this machine holds one
    connection, and what overflows it is reset without the appliance having seen it."""
    with connecting:
        s = a.connect(7, 60)
        s.sendall(b'?')
        assert s.recv(1) == b'?'
    return s


def talk(a, seed, failures):
    try:
        rand = random.Random(seed)
        with connect(a) as s:
            for _ in range(20):
                data = rand.randbytes(rand.choice((1, 10, 1460, 1461, 5000, 60000)))
                s.sendall(data)
                got = b''
                while len(got) < len(data):
                    more = s.recv(65536)
                    assert more, 'the connection ended'
                    got += more
                assert got == data, 'the data changed'
            s.shutdown(1)
            assert s.recv(1) == b''
    except Exception as e:             # of a thread: told to the main one
        failures.append(f'connection {seed}: {e!r}')


def crowd(a, count=40):
    failures = []
    threads = [threading.Thread(target=talk, args=(a, n, failures)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[:3]


for machine, smp, nic in machines(('q35', 1, 'virtio'), ('q35', 2, 'virtio'),
                                  ('microvm', 2, 'virtio'), ('q35', 2, 'e1000e')):
    with Appliance('echo', ports=[7], smp=smp, machine=machine, nic=nic) as a:
        a.wait_serving(7, b'x')
        crowd(a)
        bulk(a)
        print(f'{machine} {smp} {nic}: {TOTAL // MEGABYTE} MB each way intact')
