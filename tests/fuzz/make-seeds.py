#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of the fuzz targets: make-seeds.py FOLDER

A client that makes a window from a wl_shm pool, and the compositor's side of it; ids and opcodes as
in wayland.xml and xdg-shell.xml. Run by hand when a target's input format changes.
"""
import random
import struct
import sys
from pathlib import Path


def string(text):
    raw = text.encode() + b'\0'
    return struct.pack('<I', len(raw)) + raw + b'\0' * (-len(raw) % 4)


def message(object_id, opcode, *args):
    body = b''.join(a if isinstance(a, bytes) else struct.pack('<I', a & 0xffffffff) for a in args)
    return struct.pack('<IHH', object_id, opcode, 8 + len(body)) + body


def bind(name, iface, version, new_id):
    return message(2, 0, name, string(iface), version, new_id)


DISPLAY, REGISTRY, COMPOSITOR, SHM, WM, SURFACE, POOL, BUFFER, XDG, TOPLEVEL, FRAME = range(1, 12)
SYNC = COMPOSITOR
GLOBALS = [(1, 'wl_compositor', 6), (2, 'wl_shm', 1), (3, 'xdg_wm_base', 5), (4, 'wl_output', 4)]

# (sender, bytes, fds): c is the client, s the server, whose ids for the client's objects are the same
# as long as both sides hand them out in order.
TALK = [
    ('c', message(DISPLAY, 1, REGISTRY), 0),
    ('c', message(DISPLAY, 0, SYNC), 0),
    *[('s', message(REGISTRY, 0, name, string(iface), version), 0)
      for name, iface, version in GLOBALS],
    ('s', message(SYNC, 0, 7), 0),
    ('s', message(DISPLAY, 1, SYNC), 0),
    ('c', bind(1, 'wl_compositor', 6, COMPOSITOR), 0),  # the id is free again
    ('c', bind(2, 'wl_shm', 1, SHM), 0),
    ('c', bind(3, 'xdg_wm_base', 5, WM), 0),
    ('s', message(SHM, 0, 0), 0),
    ('c', message(COMPOSITOR, 0, SURFACE), 0),
    ('c', message(SHM, 0, POOL, 4096), 1),
    ('c', message(POOL, 0, BUFFER, 0, 32, 32, 128, 0), 0),
    ('c', message(WM, 2, XDG, SURFACE), 0),
    ('c', message(XDG, 1, TOPLEVEL), 0),
    ('c', message(TOPLEVEL, 2, string('a window')), 0),
    ('c', message(SURFACE, 6), 0),
    ('s', message(TOPLEVEL, 0, 0, 0, struct.pack('<I', 4), 4), 0),
    ('s', message(XDG, 0, 11), 0),
    ('c', message(XDG, 4, 11), 0),
    ('c', message(SURFACE, 1, BUFFER, 0, 0), 0),
    ('c', message(SURFACE, 3, FRAME), 0),
    ('c', message(SURFACE, 9, 0, 0, 32, 32), 0),
    ('c', message(SURFACE, 6), 0),
    ('s', message(BUFFER, 0), 0),
    ('s', message(FRAME, 0, 1), 0),
    ('s', message(DISPLAY, 1, FRAME), 0),
    ('c', message(POOL, 1), 0),
    ('c', message(BUFFER, 0), 0),
    ('s', message(DISPLAY, 1, POOL), 0),
    ('s', message(DISPLAY, 1, BUFFER), 0),
    ('c', message(TOPLEVEL, 0), 0),
    ('c', message(XDG, 0), 0),
    ('c', message(SURFACE, 0), 0),
]

FDS, SERVER, READ = 0x40, 0x80, 0x3f


def relay_input(talk, piece):
    out = b''
    for sender, data, fds in talk:
        for at in range(0, len(data), piece):
            part = data[at:at + piece]
            fd = FDS if fds and at == 0 else 0
            out += bytes([(SERVER if sender == 's' else 0) | fd | len(part)]) + part
    return out + bytes([READ])


def channel_piece(kind, data):
    data += b'\0' * (-len(data) % 4)
    return bytes([kind, len(data) // 4]) + data


CMD = {'image': 2, 'poll': 3, 'send': 4, 'write': 7, 'enable': 0xc0, 'grant': 0xc1, 'clock': 0xc2}


def command(name, body):
    return struct.pack('<BBHI', CMD[name], 0, 8 + len(body), 0) + body


def channel_send(data, items=()):
    """A cross-domain SEND: header, two counts, and per item id, type and size in tables of 28."""
    tables = b''.join(struct.pack('<28I', *[item[i] for item in items], *[0] * (28 - len(items)))
                      for i in range(3))
    body = struct.pack('<II', len(items), len(data)) + tables + data
    return command('send', body)


SUBMIT, FENCED, EVENTS, WITH_FD = 1, 2, 8, 4


def channel_input():
    grant = command('grant', struct.pack('<II', 0, 65536))
    poll = command('poll', bytes(8))
    image = command('image', struct.pack('<IIII', 64, 64, 0x34325258, 0))
    write = command('write', struct.pack('<IIII', 2, 0, 4, 0) + b'pipe')
    registry = message(1, 1, 2)
    return b''.join([
        channel_piece(SUBMIT, grant), channel_piece(SUBMIT | FENCED | 16, poll),
        channel_piece(SUBMIT, channel_send(registry)),
        channel_piece(EVENTS, message(2, 0, 1, string('wl_shm'), 1)),
        channel_piece(SUBMIT | FENCED, image), channel_piece(EVENTS | WITH_FD | 48, message(2, 1, 1)),
        channel_piece(SUBMIT, write), channel_piece(SUBMIT | WITH_FD, channel_send(registry, [(1, 1, 4096)])),
    ])


MONOTONIC, CPUTIME = 1, 2  # clocks: one that is told, and one that is not


def clock_input():
    """Questions for the time: fenced, in a row with another query, of no clock, and cut."""
    clocks = [command('clock', struct.pack('<II', clock, 0)) for clock in (MONOTONIC, CPUTIME, 0xffffffff)]
    image = command('image', struct.pack('<IIII', 64, 64, 0x34325258, 0))
    return b''.join([
        *[channel_piece(SUBMIT | FENCED, clock) for clock in clocks],
        channel_piece(SUBMIT | FENCED, clocks[0] + image + clocks[1]),
        channel_piece(SUBMIT, clocks[0][:12]),
    ])


# Commands of fuzz_ctrl.c, by their place in its table.
(CTX_CREATE, CREATE_BLOB, ATTACH, SUBMIT_3D, MAP, UNMAP, UNREF, TO_HOST, FROM_HOST, ATTACH_BACKING,
 DETACH_BACKING) = range(11)
CTX_1 = 1 << 2


def ctrl(index, payload, flags=0):
    payload += b'\0' * (-len(payload) % 4)
    return bytes([index, CTX_1 | flags]) + struct.pack('<H', len(payload) // 4) + payload


def ctrl_blob(resource, mem, blob_id, size, entries=()):
    head = struct.pack('<IIIIQQ', resource, mem, 3, len(entries), blob_id, size)
    return ctrl(CREATE_BLOB, head + b''.join(struct.pack('<QII', *entry, 0) for entry in entries))


def ctrl_submit(data, flags=0):
    return ctrl(SUBMIT_3D, struct.pack('<II', len(data), 0) + data, flags)


def ctrl_resource(index, resource, rest=b''):
    return ctrl(index, struct.pack('<II', resource, 0) + rest)


def ctrl_transfer(index, resource):
    return ctrl(index, struct.pack('<6IQIIII', 0, 0, 0, 128, 16, 1, 0, resource, 0, 128, 0))


GUEST, HOST3D, HOST3D_GUEST = 1, 2, 3
POLLED = 3 | 1 << 4  # fenced, on a ring: the channel's


def ctrl_input():
    init = struct.pack('<BBHI3I', 1, 0, 20, 0, 1, 2, 1)
    image = command('image', struct.pack('<IIII', 4096, 4, 0x20203852, 0))
    return b''.join([
        ctrl(CTX_CREATE, struct.pack('<II', 0, 5) + bytes(64)),
        ctrl_blob(1, GUEST, 0, 4096, [(0x1000, 4096)]), ctrl_resource(ATTACH, 1),
        ctrl_blob(2, GUEST, 0, 8192, [(0x4000, 4096), (0x9000, 4096)]), ctrl_resource(ATTACH, 2),
        ctrl_submit(init), ctrl_submit(image, 3), ctrl_submit(command('poll', bytes(8)), POLLED),
        ctrl_blob(3, HOST3D, 2, 16384), ctrl_resource(ATTACH, 3),
        ctrl_resource(MAP, 3, struct.pack('<Q', 0x8000)),
        ctrl_submit(channel_send(message(1, 1, 2), [(3, 1, 0)])),
        ctrl_blob(4, HOST3D_GUEST, 2, 16384, [(0x10000, 16384)]), ctrl_resource(ATTACH, 4),
        ctrl_transfer(TO_HOST, 4), ctrl_transfer(FROM_HOST, 4),
        ctrl_submit(channel_send(message(1, 1, 2), [(4, 1, 0), (1, 1, 0)])),
        ctrl_resource(DETACH_BACKING, 2), ctrl_resource(UNMAP, 3), ctrl_resource(UNREF, 3),
    ])


def ctrl_clock_input():
    enable = command('enable', struct.pack('<II', 9, 0))  # pipe credit and clock
    init = struct.pack('<BBHI3I', 1, 0, 20, 0, 1, 2, 1)
    clock = command('clock', struct.pack('<II', MONOTONIC, 0))
    return b''.join([
        ctrl(CTX_CREATE, struct.pack('<II', 0, 5) + bytes(64)),
        # Two pages of guest memory for the query ring: the answer's place is in the second.
        ctrl_blob(1, GUEST, 0, 4096, [(0x1000, 64), (0x3000, 4032)]), ctrl_resource(ATTACH, 1),
        ctrl_blob(2, GUEST, 0, 8192, [(0x4000, 4096), (0x9000, 4096)]), ctrl_resource(ATTACH, 2),
        ctrl_submit(enable + init), ctrl_submit(clock, 3), ctrl_resource(DETACH_BACKING, 1),
        ctrl_submit(clock, 3),
    ])


# A worker's turns in fuzz_gpu.c, by the second byte: which worker is in its high half.
ANSWER, FENCE_DONE, ENDED, RAW = 0, 3, 5, 6
VENUS, VIRGL2, DRM = 4, 2, 6
EXPORTED = 2 | 1 << 1 | 1 << 3 | 4  # of kind 1, cached, 64 KiB


def turn(what, byte=0, worker=0):
    return bytes([0x80, what | worker << 4]) + struct.pack('<HI', 1, byte)


def gpu_input(capset, n_planes=0):
    exported = EXPORTED | n_planes << 5
    texture = ctrl(25, struct.pack('<11I', 3, 2, 1, 2, 64, 64, 1, 1, 0, 0, 0))
    return b''.join([
        ctrl(CTX_CREATE, struct.pack('<II', 0, capset) + bytes(64)), turn(ANSWER),
        ctrl_blob(1, HOST3D, 1, 8192), ctrl_resource(ATTACH, 1), turn(ANSWER),
        ctrl_resource(MAP, 1, struct.pack('<Q', 0x8000)), ctrl_submit(bytes(8), 3), turn(ANSWER, exported),
        turn(FENCE_DONE), texture, ctrl_resource(ATTACH, 3), ctrl_resource(TO_HOST, 3), turn(ANSWER),
        ctrl_blob(2, HOST3D, 2, 4096), ctrl_resource(MAP, 2, struct.pack('<Q', 0)), turn(ANSWER),
        turn(ANSWER, 1), ctrl_resource(UNREF, 1), turn(RAW, 0xffff), turn(ENDED),
        ctrl(CTX_CREATE, struct.pack('<II', 0, capset) + bytes(64), 4),
    ])


def put(at, data):
    """A piece of fuzz_vring.c: data in guest memory."""
    return b''.join(struct.pack('<HB', (at + i) // 4, len(data[i:i + 128])) + data[i:i + 128]
                    for i in range(0, len(data), 128))


def vring_input(indirect):
    chain = struct.pack('<QIHH', 0x6000, 24, 1, 1) + struct.pack('<QIHH', 0x6100, 408, 2, 0)
    rings = put(0, chain)
    if indirect:
        rings = put(0x7000, chain) + put(0, struct.pack('<QIHH', 0x7000, 32, 4, 0))
    request = struct.pack('<IIQIBBH', 0x100, 1, 7, 0, 0, 0, 0)
    avail = put(8192, struct.pack('<HHHH', 0, 1, 0, 0))
    again = put(8192, struct.pack('<HHHH', 0, 2, 0, 0))
    return bytes([4, 3, 0, 0]) + put(0x6000, request) + rings + avail + again


# Pieces of fuzz_vhost.c, and its requests by their place in its table.
(GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, VRING_NUM, VRING_ADDR, VRING_BASE,
 GET_VRING_BASE, VRING_KICK, VRING_CALL, VRING_ERR, GET_PROTOCOL, SET_PROTOCOL, QUEUE_NUM, VRING_ENABLE,
 BACKEND_FD, GET_CONFIG, SET_CONFIG, GET_SHMEM) = range(20)
VU_MESSAGE, VU_RAW, VU_MEMORY, VU_BACK, VU_KICK = range(5)
NEED_REPLY = 1
# Version 1, indirect, event index, protocol features, virgl, uuid, blobs, contexts.
FEATURES = 1 << 32 | 1 << 28 | 1 << 29 | 1 << 30 | 1 | 1 << 2 | 1 << 3 | 1 << 4
PROTOCOL = 1 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 10 | 1 << 22


def vhost(what, request, flags=0, payload=b''):
    payload += b'\0' * (-len(payload) % 4)
    return bytes([what, request, flags, len(payload) // 4]) + payload


def vhost_call(request, payload=b'', fds=0, flags=NEED_REPLY):
    return vhost(VU_MESSAGE, request, flags | fds << 4, payload)


def vhost_memory(at, data):
    return vhost(VU_MEMORY, at & 0xff, at >> 8, data)


def vhost_queue(index, start):
    return b''.join([
        vhost_call(VRING_NUM, struct.pack('<II', index, 16)),
        vhost_call(VRING_BASE, struct.pack('<II', index, 0)),
        vhost_call(VRING_ADDR, struct.pack('<II4Q', index, 0, start, start + 0x800, start + 0x400, 0)),
        vhost_call(VRING_KICK, struct.pack('<Q', index), 1),
        vhost_call(VRING_CALL, struct.pack('<Q', index), 1),
        vhost_call(VRING_ENABLE, struct.pack('<II', index, 1)),
    ])


def vhost_input(window):
    table = struct.pack('<II', 2, 0) + struct.pack('<4Q', 0, 0x8000, 0, 0) + struct.pack(
        '<4Q', 0x10000, 0x8000, 0x8000, 0x8000)
    chain = struct.pack('<QIHH', 0x6000, 24, 1, 1) + struct.pack('<QIHH', 0x6100, 408, 2, 0)
    capsets = struct.pack('<IIQIBBHII', 0x108, 1, 7, 0, 0, 0, 0, 0, 0)
    done = vhost(VU_BACK, 0, 0, struct.pack('<IIIQ', 9, 5, 8, 0))
    return bytes([window]) + b''.join([
        vhost_call(GET_FEATURES), vhost_call(GET_PROTOCOL),
        vhost_call(SET_PROTOCOL, struct.pack('<Q', PROTOCOL)),
        vhost_call(QUEUE_NUM), vhost_call(SET_OWNER), vhost_call(GET_SHMEM), vhost_call(BACKEND_FD, b'', 1),
        vhost_call(GET_CONFIG, struct.pack('<III', 0, 16, 0)),
        vhost_call(SET_FEATURES, struct.pack('<Q', FEATURES)),
        vhost_call(SET_MEM_TABLE, table, 2), vhost_queue(0, 0), vhost_queue(1, 0x2000), done,
        vhost_memory(0x6000, capsets), vhost_memory(0, chain),
        vhost_memory(0x400, struct.pack('<HHHH', 0, 1, 0, 0)),
        vhost(VU_KICK, 0), done, vhost_call(GET_VRING_BASE, struct.pack('<II', 0, 0)),
        vhost_call(VRING_KICK, struct.pack('<Q', 0), 1), vhost_call(SET_MEM_TABLE, table, 2),
        vhost(VU_RAW, 0, 0, struct.pack('<II', 1, 1)), vhost(VU_RAW, 0, 0, struct.pack('<I', 0)),
        vhost_call(RESET_OWNER), vhost_call(20, bytes(8)),
    ])


# Pieces of fuzz_socket.c.
SK_REQUEST, SK_RAW, SK_READ, SK_CLOSE, SK_EVENTS = range(5)


def packet(what, guest, payload=b'', fds=0, flags=0):
    payload += b'\0' * (-len(payload) % 4)
    return bytes([what | guest << 3, flags | fds << 3]) + struct.pack('<H', len(payload) // 4) + payload


def request(kind, payload, ctx=1, flags=0, fence=0, ring=0):
    return struct.pack('<IIQIBBH', kind, flags, fence, ctx, ring, 0, 0) + payload


def socket_input(extensions):
    def submit(commands, **more):
        return request(0x207, struct.pack('<II', len(commands), 0) + commands, **more)
    init = struct.pack('<BBHI3I', 1, 0, 20, 0, 0 if extensions & 2 else 1, 2, 1)
    enable = command('enable', struct.pack('<II', extensions, 0))
    image = command('image', struct.pack('<IIII', 64, 64, 0x34325258, 0))
    opening = [request(0x200, struct.pack('<II', 0, 5) + bytes(64))]
    for ring in (1, 2):
        opening += [(request(0x10c, struct.pack('<IIIIQQ', ring, 1, 1, 0, 0, 4096)), 1),
                    request(0x202, struct.pack('<II', ring, 0))]
    opening += [submit(enable), submit(init)]
    out = b''
    for guest in (0, 1):
        for what in opening:
            out += packet(SK_REQUEST, guest, *(what if isinstance(what, tuple) else (what,)))
        out += packet(SK_REQUEST, guest, submit(image, flags=1, fence=1)) + packet(SK_READ, guest)
        out += packet(SK_REQUEST, guest, submit(command('poll', bytes(8)), flags=3, fence=2, ring=1))
        out += packet(SK_REQUEST, guest, submit(channel_send(message(1, 1, 2), [(1, 0xc0, 0)])), 1)
        out += packet(SK_EVENTS, guest, message(2, 0, 1, string('wl_shm'), 1), 2) + packet(SK_READ, guest)
    return out + b''.join([
        packet(SK_REQUEST, 2, request(0x108, bytes(8), flags=1, fence=3)), packet(SK_CLOSE, 0),
        packet(SK_RAW, 2, struct.pack('<IIQ', 1, 1, 0)), packet(SK_RAW, 3, bytes(4), 31, 2),
        packet(SK_RAW, 0, bytes(64), 0, 1), packet(SK_READ, 1),
    ])


def main():
    folder = Path(sys.argv[1])
    registry = TALK[0][1]
    files = {
        'wire/registry': b'\0' + registry,
        'wire/bind': b'\0' + registry + bind(1, 'wl_compositor', 6, 3) + message(3, 0, 4),
        'wire/pool': b'\1' + registry + bind(2, 'wl_shm', 1, 3) + message(3, 0, 4, 4096)
                     + message(4, 0, 5, 0, 32, 32, 128, 0) + message(5, 0) + message(4, 1),
        'wire/error': b'\0' + message(1, 9) + message(99, 0),
        'relay/window': relay_input(TALK, 62),
        'relay/window-pieces': relay_input(TALK, 7),
        'relay/error': relay_input(TALK[:2] + [
            ('s', message(1, 0, 1, 3, string('no')), 0)], 62),
        # The size modulo 4 chooses the extensions.
        'ctrl/window': ctrl_input(),
        'ctrl/clock': ctrl_clock_input(),
        **{f'channel/clock-{extra}': clock_input() + bytes((extra - len(clock_input())) % 4) for extra in (0, 3)},
        # Decisions, the first of which is the mode. deleted-successor and times-N were found.
        **{f'hooks/mode-{mode}': bytes([mode]) + random.Random(mode).randbytes(4095)
           for mode in range(6)},
        **{f'gpu/{name}': gpu_input(capset, planes)
           for name, capset, planes in (('venus', VENUS, 0), ('virgl', VIRGL2, 1), ('drm', DRM, 0))},
        **{f'vhost/window-{window}': vhost_input(window) for window in (0, 1, 3)},
        **{f'socket/extensions-{extensions}': socket_input(extensions) for extensions in (0, 9, 15)},
        'vring/direct': vring_input(False),
        'vring/indirect': vring_input(True),
        **{f'channel/mode-{extra}': channel_input() + bytes(extra) for extra in range(4)},
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


main()
