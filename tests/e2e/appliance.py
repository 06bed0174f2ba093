# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: an example booted with forwarded ports, ended with the block.

    with Appliance('http', ports=[80], smp=2) as a:
        a.wait_for('listening')
        s = a.connect(80)

Under tools/test the images are already built; on its own a test builds what it needs.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

ARCH = os.environ.get('HEDDLE_ARCH', 'x86_64')
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def free_ports(count):
    """Ports of this machine that nobody listens on at the moment, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def machines(*choices):
    """The (machine, cores, ...) to test on; a process has no machine, only cores."""
    if ARCH != 'host':
        return choices
    return [('host', *dict((c[1], c[1:]) for c in choices)[n]) for n in {c[1] for c in choices}]


class Appliance:
    def __init__(self, example, ports=(), smp=2, machine='q35', mem='128M', args='', kopts='',
                 log=1, image=None, qemu='', nic='virtio'):
        guests = list(ports)
        self.ports = dict(zip(guests, free_ports(len(guests))))
        forwards = ' '.join(f'{host}:{guest}' for guest, host in self.ports.items())
        words = [f'APP=examples/{example}', f'ARCH={ARCH}', f'SMP={smp}', f'MEM={mem}',
                 f'ARGS={args}', f'KOPTS={kopts}', f'LOG={log}', f'PORTS={forwards}', 'KVM=0',
                 f'QEMU={qemu}']
        if ARCH == 'aarch64':  # the models like those of x86-64
            machine = {'q35': 'virt', 'microvm': 'virt-gicv2'}[machine]
        if ARCH != 'host':
            words += [f'MACHINE={machine}', f'NIC={nic}']
        images = os.environ.get('HEDDLE_IMAGES')
        if not image and images:
            image = f'{images}/{example}.' + ('bin' if ARCH == 'aarch64' else 'elf')
        if image:
            words = ['--image', image, *words]
        self.command = [ROOT + '/tools/run', *words]
        self.console, self.grown = '', threading.Condition()

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, 'HEDDLE_DIE_WITH_PARENT': '1'})
        self.reader = threading.Thread(target=self.read_console, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.reader.join(5)
        if kind is not None:
            sys.stderr.write('---- console ----\n' + self.console + '\n-----------------\n')

    def read_console(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.grown:
                self.console += data.decode('utf-8', 'replace')
                self.grown.notify_all()
        with self.grown:
            self.grown.notify_all()

    def type(self, text):
        """Sends text to the console's input."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, pattern, timeout=30, start=0):
        """The match of pattern in what the console shows from offset start on."""
        deadline = time.monotonic() + timeout
        with self.grown:
            while True:
                match = re.compile(pattern, re.M).search(self.console, start)
                if match:
                    return match
                left = deadline - time.monotonic()
                if left <= 0 or (not self.reader.is_alive() and self.process.poll() is not None):
                    raise AssertionError(f'the console never showed {pattern!r}')
                self.grown.wait(min(left, 0.2))

    def wait_exit(self, timeout=30):
        """The exit status, once the appliance has ended by itself."""
        return self.process.wait(timeout)

    def address(self, guest_port):
        return '127.0.0.1', self.ports[guest_port]

    def connect(self, guest_port, timeout=20):
        return socket.create_connection(self.address(guest_port), timeout)

    def wait_serving(self, guest_port, request=b'GET / HTTP/1.0\r\n\r\n', timeout=30):
        """Returns once the port answers request with at least a byte. (The emulator's own side of a
        forwarded port accepts connections before the appliance does.)"""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with self.connect(guest_port, 5) as s:
                    s.sendall(request)
                    if s.recv(1):
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f'port {guest_port} does not answer')
