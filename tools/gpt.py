# SPDX-License-Identifier: BSD-2-Clause
"""GUID partition tables as the UEFI specification (chapter 5) has them, for disks of 512-byte
sectors. The same partitions at the same places always give the same bytes."""
import struct
import uuid
import zlib

SECTOR = 512
FIRST_USABLE = 34                # protective MBR, header, 32 sectors of entries
TAIL = 33                        # entries and header once more, at the end
N_ENTRIES, ENTRY_BYTES = 128, 128
BIOS_BOOT = uuid.UUID('21686148-6449-6e6f-744e-656564454649')
EFI_SYSTEM = uuid.UUID('c12a7328-f81f-11d2-ba4b-00a0c93ec93b')
HEADER = struct.Struct('<8sIIIIQQQQ16sQIII')
ENTRY = struct.Struct('<16s16sQQQ72s')


def header(own, other, table, last_usable, disk, entries):
    def pack(own_crc):
        return HEADER.pack(b'EFI PART', 0x10000, HEADER.size, own_crc, 0, own, other,
                           FIRST_USABLE, last_usable, disk, table, N_ENTRIES, ENTRY_BYTES,
                           zlib.crc32(entries))
    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b'\0')


def put(f, sectors, disk, entries):
    """Writes both tables of a disk of that many sectors, and the protective MBR."""
    last, last_usable = sectors - 1, sectors - 1 - TAIL
    f.seek(446)
    f.write(struct.pack('<B3sB3sII', 0, b'\0\2\0', 0xee, b'\xff\xff\xff', 1,
                        min(last, 0xffffffff)) + bytes(48) + b'\x55\xaa')
    f.seek(1 * SECTOR)
    f.write(header(1, last, 2, last_usable, disk, entries) + entries)
    f.seek((last - 32) * SECTOR)
    f.write(entries + header(last, 1, last - 32, last_usable, disk, entries))


def create(f, sectors, partitions):
    """partitions: [(type, name, first sector, last sector)]"""
    seed = uuid.uuid5(uuid.NAMESPACE_URL, f'heddle:{sectors}:{partitions}')
    entries = b''.join(
        ENTRY.pack(kind.bytes_le, uuid.uuid5(seed, name).bytes_le, first, last, 0,
                   name.encode('utf-16-le')) for kind, name, first, last in partitions)
    put(f, sectors, seed.bytes_le, entries.ljust(N_ENTRIES * ENTRY_BYTES, b'\0'))


def stretch(f, sectors):
    """Makes the tables of an image that has been copied to a larger disk those of that disk."""
    f.seek(1 * SECTOR)
    fields = HEADER.unpack(f.read(HEADER.size))
    if fields[0] != b'EFI PART':
        raise ValueError('no partition table in the image')
    f.seek(2 * SECTOR)
    put(f, sectors, fields[9], f.read(N_ENTRIES * ENTRY_BYTES))
