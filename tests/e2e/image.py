#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=200
"""Disk and CD images: a disk image boots, with what a person has written into its heddle.txt, and
without a serial port says so on the screen; a CD image boots; tools/flash writes the disk image to
a larger disk, which boots too and has both its partition tables, and refuses every disk it should,
having written nothing. The disks are files in a made-up /dev with a made-up /sys and /proc."""
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from appliance import ROOT

QEMU = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
        '-machine', 'q35', '-cpu', 'max', '-accel', 'tcg,thread=multi', '-m', '128M', '-smp', '2',
        '-serial', 'stdio']
FAT = '@@1M'


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True, **options).stdout


def boot(path, cd=False):
    media, kind = (',media=cdrom', 'ide-cd') if cd else ('', 'ide-hd')
    out = run(*QEMU, '-drive', f'if=none,id=d,format=raw,file={path}{media}', '-device',
              f'{kind},drive=d', stdin=subprocess.DEVNULL, timeout=90)
    assert 'hello from' in out, out
    return out.replace('\r', '')


def font():
    """The dots of a character, as kernel/font.c has them, to the character."""
    with open(ROOT + '/kernel/font.c', encoding='utf-8') as f:
        glyphs = re.findall(r'^    \{ (0x.*) \},', f.read(), re.M)
    return {tuple(int(row, 16) for row in glyph.split(',')): chr(32 + n)
            for n, glyph in enumerate(glyphs)}


def read_screen(path, glyphs):
    """The text on a picture of the screen."""
    with open(path, 'rb') as f:
        _, size, _, dots = f.read().split(b'\n', 3)
    width, height = map(int, size.split())
    scale = width // 480
    text = ''
    for y in range(0, height // (10 * scale)):
        for x in range(0, width // (6 * scale)):
            rows = []
            for row in range(1, 9):
                at = ((y * 10 + row) * width + x * 6) * scale * 3
                rows.append(sum((dots[at + d * scale * 3] > 0) << (4 - d) for d in range(5)))
            text += glyphs.get(tuple(rows), '?')
        text = text.rstrip() + '\n'
    return text


def test_screen(folder, image):
    """The machine has no serial port; when it has powered off, its screen is still there."""
    command = [*QEMU, '-vga', 'std', '-no-shutdown', '-monitor', 'stdio', '-drive',
               f'if=none,id=d,format=raw,file={image}', '-device', 'ide-hd,drive=d']
    at = command.index('-serial')
    del command[at:at + 2]
    qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    picture, text, glyphs = folder + '/screen.ppm', '', font()
    try:
        for _ in range(60):
            time.sleep(1)
            qemu.stdin.write(f'screendump {picture}\n')
            qemu.stdin.flush()
            time.sleep(0.5)
            if os.path.exists(picture) and os.path.getsize(picture):
                text = read_screen(picture, glyphs)
            if 'argument 2: two words' in text:
                break
        assert 'hello from hello on 2 cores\nargument 1: one\nargument 2: two words\n' in text, text
        assert 'booted by multiboot2' in text, text
    finally:
        qemu.kill()
        qemu.wait()


def hello():
    images = os.environ.get('HEDDLE_IMAGES')
    return f'{images}/hello.elf' if images else \
        os.path.join(ROOT, run('make', '-s', 'build', 'APP=examples/hello', cwd=ROOT).split()[-1])


def check_tables(path):
    """Both partition tables, each with its checksums, saying the same."""
    with open(path, 'rb') as f:
        data = f.read()
    last = len(data) // 512 - 1
    entries = []
    for own, other in ((1, last), (last, 1)):
        head = data[own * 512:own * 512 + 92]
        size, crc = struct.unpack_from('<II', head, 12)
        assert head[:8] == b'EFI PART' and size == 92
        assert zlib.crc32(head[:16] + bytes(4) + head[20:]) == crc, 'header checksum'
        assert struct.unpack_from('<QQ', head, 24) == (own, other)
        table, count, each, table_crc = struct.unpack_from('<QIII', head, 72)
        entries.append(data[table * 512:table * 512 + count * each])
        assert zlib.crc32(entries[-1]) == table_crc, 'table checksum'
    assert entries[0] == entries[1]


class World:
    """A machine's /sys, /proc and /dev with one disk sdz of two partitions, as files."""

    def __init__(self, root, megabytes=16):
        self.root = root
        self.disk = root + '/dev/sdz'
        sys_ = root + '/sys/class/block/sdz'
        self.put('/dev/sdz', '')
        os.truncate(self.disk, megabytes << 20)
        for name, text in (('dev', '8:400'), ('size', str(megabytes << 11)), ('ro', '0'),
                           ('removable', '1'), ('device/model', 'Stick'),
                           ('device/vendor', 'Acme')):
            self.put(f'/sys/class/block/sdz/{name}', text)
        os.makedirs(sys_ + '/holders')
        for n in (1, 2):
            for name, text in (('partition', str(n)), ('dev', f'8:{400 + n}'), ('size', '2048')):
                self.put(f'/sys/class/block/sdz/sdz{n}/{name}', text)
            os.makedirs(f'{sys_}/sdz{n}/holders')
        self.put('/sys/class/block/sdz1/partition', '1')
        self.put('/dev/sdz1', '')
        self.put('/dev/null', '')
        self.put('/sys/class/block/loop0/dev', '7:0')
        self.put('/dev/loop0', '')
        self.mounts(('8:1', '/', '/dev/sda1'))
        self.put('/proc/swaps', 'Filename Type Size Used Priority\n')

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, 'w', encoding='utf-8') as f:
            f.write(text)

    def mounts(self, *entries):
        self.put('/proc/self/mountinfo', ''.join(
            f'36 35 {numbers} / {where} rw - ext4 {source} rw\n'
            for numbers, where, source in entries))

    def flash(self, image, answer='sdz\n', device='sdz'):
        done = subprocess.run([ROOT + '/tools/flash', '--root', self.root, image,
                               f'{self.root}/dev/{device}'], input=answer, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def refuses(self, image, why, **how):
        status, out = self.flash(image, **how)
        assert status != 0 and why in out, (why, out)
        with open(self.disk, 'rb') as f:
            assert not f.read().strip(b'\0'), f'{why}: refused, but has written'


def test_flash(folder, image):
    world = World(folder + '/world')
    world.refuses(image, 'nothing was written', answer='sd\n')
    world.refuses(image, 'nothing was written', answer='')
    world.refuses(image, 'a partition', device='sdz1')
    world.refuses(image, 'not a disk', device='null')
    world.refuses(image, 'no such device', device='sdy')
    world.refuses(image, 'not a whole disk', device='loop0')
    world.mounts(('8:401', '/media/stick', '/dev/sdz1'))
    world.refuses(image, 'sdz1 on /media/stick')
    world.mounts(('0:37', '/home', '/dev/sdz2'))  # as btrfs has it
    world.refuses(image, 'sdz2 on /home')
    world.mounts(('8:402', '/', '/dev/sdz2'))
    world.refuses(image, 'holds this system')
    world.mounts(('8:1', '/', '/dev/sda1'))
    world.put('/proc/swaps', 'Filename Type\n/dev/sdz2 partition\n')
    world.refuses(image, 'sdz2 on swap')
    world.put('/proc/swaps', 'Filename Type\n')
    world.put('/sys/class/block/sdz/sdz2/holders/dm-0', '')
    world.refuses(image, 'in use by dm-0')
    os.remove(world.root + '/sys/class/block/sdz/sdz2/holders/dm-0')
    world.put('/sys/class/block/sdz/ro', '1')
    world.refuses(image, 'write-protected')
    world.put('/sys/class/block/sdz/ro', '0')
    world.put('/sys/class/block/sdz/size', '100')
    world.refuses(image, 'the image needs')
    world.put('/sys/class/block/sdz/size', str(16 << 11))
    status, out = world.flash(image)
    assert status == 0 and 'Acme Stick, 16.0 MiB, removable' in out and 'sdz2:' in out, out
    check_tables(world.disk)
    assert 'argument 1: edited' in boot(world.disk)


def main():
    with tempfile.TemporaryDirectory() as folder:
        image, text = folder + '/disk.img', folder + '/heddle.txt'
        elf = hello()
        common = ['--elf', elf, '--app', 'hello', '--kopts=ip=none']
        run(ROOT + '/tools/image', 'disk', *common, "--args=one 'two words'", image)
        check_tables(image)
        assert os.path.getsize(image) < 4 << 20, 'the image has 4 MiB'
        out = boot(image)
        assert 'argument 1: one' in out and 'argument 2: two words' in out, out
        test_screen(folder, image)
        os.environ['MTOOLS_SKIP_CHECK'] = '1'
        old = run('mtype', '-i', image + FAT, '::heddle.txt')
        assert '\nip=none\n-- one "two words"\n' in old, old
        with open(text, 'w', encoding='utf-8', newline='\r\n') as f:
            f.write('# by hand\n' + old.replace('one "two words"', '"edited" # here'))
        run('mcopy', '-o', '-i', image + FAT, text, '::heddle.txt')
        out = boot(image)
        assert 'argument 1: edited' in out and 'argument 2: #' in out, out
        test_flash(folder, image)
        disc = folder + '/disc.iso'
        run(ROOT + '/tools/image', 'iso', *common, '--args=cd', disc)
        assert 'argument 1: cd' in boot(disc, cd=True)
        print(f'image of {os.path.getsize(image)} bytes, disc of {os.path.getsize(disc)}')


sys.exit(main())
