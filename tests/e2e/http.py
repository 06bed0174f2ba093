#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: timeout=240
"""The http example against curl and a raw client: the page, the counters, keep-alive, pipelining,
200 connections at once, refusals of bad requests, slow clients."""
import re
import socket
import subprocess
import time

from appliance import Appliance, machines

PAGE = b'Hello, world!\n'
GET = b'GET / HTTP/1.1\r\nHost: heddle\r\n\r\n'


def read_response(s, rest=b''):
    """One response: status, head, body, and what was read beyond it."""
    data = rest
    while b'\r\n\r\n' not in data:
        more = s.recv(65536)
        assert more, f'ended within a head: {data!r}'
        data += more
    head, _, body = data.partition(b'\r\n\r\n')
    length = int(re.search(rb'(?im)^content-length: (\d+)', head).group(1))
    while len(body) < length:
        more = s.recv(65536)
        assert more, 'ended within a body'
        body += more
    return int(head.split()[1]), head, body[:length], body[length:]


def ask(a, request):
    """Sends request, returns the status of the answer; the connection must then end."""
    with a.connect(80) as s:
        s.sendall(request)
        status, head, _, rest = read_response(s)
        assert b'Connection: close' in head
        assert rest == b'' and s.recv(1) == b'', 'data after the last answer'
        return status


def curl(a, path, *options):
    host, port = a.address(80)
    command = ['curl', '-sS', '--max-time', '20', *options, f'http://{host}:{port}{path}']
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def curl_status(a, path, *options):
    return curl(a, path, '-o', '/dev/null', '-w', '%{http_code} %{size_download}', *options)


def pages(a):
    assert curl(a, '/') == PAGE
    assert curl_status(a, '/', '--head') == b'200 0'
    assert curl_status(a, '/none').startswith(b'404')
    assert curl_status(a, '/', '-X', 'DELETE').startswith(b'405')
    assert curl(a, '/?a=b', '--http1.0') == PAGE
    assert curl_status(a, '/', '-d', 'x' * 100000).startswith(b'405')
    sched = curl(a, '/debug/sched').decode()
    rows = [line.split() for line in sched.splitlines()[2:]]
    assert len(rows) == a.smp and all(len(r) == 10 for r in rows), sched
    assert sum(int(r[3]) for r in rows) > 0


def keep_alive_and_pipelining(a):
    with a.connect(80) as s:
        for _ in range(50):
            s.sendall(GET)
            status, _, body, rest = read_response(s)
            assert (status, body, rest) == (200, PAGE, b'')
        s.sendall(GET * 100)
        rest = b''
        for _ in range(100):
            status, _, body, rest = read_response(s, rest)
            assert (status, body) == (200, PAGE)
        for byte in GET:                       # one byte at a time
            s.sendall(bytes([byte]))
        assert read_response(s)[0] == 200
        s.sendall(b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello' + GET)
        status, _, _, rest = read_response(s)
        assert status == 405
        assert read_response(s, rest)[0] == 200
        s.sendall(b'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
        assert read_response(s)[0] == 200
        assert s.recv(1) == b''


def many(a, count=200):
    sockets = []
    for _ in range(count):
        # One request each at first: the emulator's own listen queue is a short one.
        sockets.append(a.connect(80))
        sockets[-1].sendall(GET)
        assert read_response(sockets[-1])[0] == 200
    for _ in range(5):
        for s in sockets:
            s.sendall(GET)
        for s in sockets:
            status, _, body, rest = read_response(s)
            assert (status, body, rest) == (200, PAGE, b'')
    goroutines = int(re.search(rb'goroutines (\d+)', curl(a, '/debug/sched')).group(1))
    assert goroutines >= count, f'{goroutines} goroutines for {count} connections'
    for s in sockets:
        s.close()
    for _ in range(100):
        goroutines = int(re.search(rb'goroutines (\d+)', curl(a, '/debug/sched')).group(1))
        if goroutines < 20:
            return
        time.sleep(0.1)
    raise AssertionError(f'{goroutines} goroutines left after all clients have gone')


def refusals(a):
    assert ask(a, b'nonsense\r\n\r\n') == 400
    assert ask(a, b'GET  / HTTP/1.1\r\nHost: h\r\n\r\n') == 400
    assert ask(a, b'GET / HTTP/1.1\r\n\r\n') == 400                         # no Host
    assert ask(a, b'GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n') == 400
    assert ask(a, b'GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n') == 400
    assert ask(a, b'GET / HTTP/1.1\r\nHost: h\r\n'
                  b'Content-Length: 1\r\nContent-Length: 2\r\n\r\n') == 400
    assert ask(a, b'GET / HTTP/2.0\r\nHost: h\r\n\r\n') == 505
    assert ask(a, b'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n') == 501
    assert ask(a, b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n') == 413
    assert ask(a, b'GET / HTTP/1.1\r\nX: ' + b'y' * 9000 + b'\r\n\r\n') == 431
    assert ask(a, bytes(range(1, 256)) * 2 + b'\r\n\r\n') == 400
    with a.connect(80) as s:                                                # gone in mid-request
        s.sendall(b'GET / HT')
    with a.connect(80) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        s.sendall(GET)                                                      # and by a reset
    assert curl(a, '/') == PAGE


def slow_client(a):
    with a.connect(80) as s:
        s.sendall(b'GET / HTTP/1.1\r\nHos')
        assert read_response(s)[0] == 408
        assert s.recv(1) == b''


for machine, smp, nic in machines(('q35', 1, 'virtio'), ('q35', 2, 'virtio'),
                                  ('q35', 4, 'virtio'), ('microvm', 2, 'virtio'),
                                  ('q35', 2, 'e1000e')):
    with Appliance('http', ports=[80], smp=smp, machine=machine, nic=nic, args=':80 3') as a:
        a.smp = smp
        a.wait_serving(80)
        pages(a)
        keep_alive_and_pipelining(a)
        refusals(a)
        many(a)
        slow_client(a)
        print(f'{machine} {smp} {nic}: all answered')
