#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# test: arch=x86_64 timeout=200
"""The UEFI application started by hand from the firmware's shell: with load options, which count
more than the heddle.txt of the disk; and without, when the heddle.txt in its own folder does."""
import os
import subprocess
import sys
import tempfile

from appliance import ROOT

OVMF = '/usr/share/ovmf/OVMF.fd'
QEMU = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
        '-machine', 'q35', '-cpu', 'max', '-accel', 'tcg,thread=multi', '-m', '256M', '-smp', '2',
        '-serial', 'stdio', '-bios', OVMF]
FAT = '@@1M'


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', check=True, **options).stdout


def build():
    """The example hello as an ELF file and as an application, which tools/test does not build."""
    lines = run('make', '-s', 'build', 'BOOT=uefi', 'APP=examples/hello', cwd=ROOT).split()
    elf = os.path.join(ROOT, lines[-1])
    return elf, elf[:-4] + '.efi'


def put(folder, disk, name, text):
    with open(folder + '/file', 'w', encoding='utf-8') as f:
        f.write(text)
    run('mcopy', '-o', '-i', disk + FAT, folder + '/file', '::' + name)


def boot(disk, expected):
    out = run(*QEMU, '-drive', f'if=none,id=d,format=raw,file={disk}', '-device',
              'ide-hd,drive=d', stdin=subprocess.DEVNULL, timeout=90).replace('\r', '')
    assert 'booted by uefi' in out, out
    assert expected in out, out


def main():
    os.environ['MTOOLS_SKIP_CHECK'] = '1'
    elf, efi = build()
    with tempfile.TemporaryDirectory() as folder:
        disk = folder + '/disk.img'
        # No EFI/BOOT/BOOTX64.EFI: the firmware finds nothing to start and opens its shell.
        run(ROOT + '/tools/image', 'disk', '--elf', elf, '--app', 'disk', '--args=wrong', disk)
        run('mmd', '-i', disk + FAT, '::apps')
        run('mcopy', '-i', disk + FAT, efi, '::apps/hello.efi')
        start = 'fs0:\\apps\\hello.efi'
        put(folder, disk, 'startup.nsh', start + ' app=shell ip=none -- from "the shell"\r\n')
        boot(disk, 'hello from shell on 2 cores\nargument 1: from\nargument 2: the shell\n')
        put(folder, disk, 'startup.nsh', start + '\r\n')
        put(folder, disk, 'apps/heddle.txt', 'app=beside\r\nip=none\r\n-- "the file"')
        boot(disk, 'hello from beside on 2 cores\nargument 1: the file\n')


sys.exit(main())
