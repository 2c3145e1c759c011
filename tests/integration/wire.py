# SPDX-License-Identifier: MIT
"""A Wayland client that writes its own bytes, so that it can write wrong ones."""
import array
import os
import select
import socket
import struct
import time


def u32(*values):
    return struct.pack(f"={len(values)}I", *values)


def string(text):
    data = text if isinstance(text, bytes) else text.encode() + b"\0"
    return u32(len(data)) + data + b"\0" * (-len(data) % 4)


def message(obj, opcode, body=b"", size=None):
    return u32(obj, (len(body) + 8 if size is None else size) << 16 | opcode) + body


class Lost(Exception):
    """The other side closed the connection."""


class Client:
    """Errors are kept in .error as (object, code, text)."""

    def __init__(self, path, deadline=30):
        self.deadline = deadline
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(deadline)
        self.sock.connect(path)
        self.next_id = 2
        self.data = b""
        self.error = None
        self.globals = {}
        self.done = set()
        self.events = []

    def new(self):
        self.next_id += 1
        return self.next_id - 1

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], ancillary)
            if sent < len(data):
                self.sock.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise Lost from None

    def read(self, timeout):
        """Handle what comes. False: nothing came in time."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return False
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 64)
        except ConnectionResetError:
            raise Lost from None
        for fd in fds:
            os.close(fd)
        if not data:
            raise Lost
        self.data += data
        while len(self.data) >= 8:
            obj, word = struct.unpack("=II", self.data[:8])
            size = word >> 16
            if len(self.data) < size:
                break
            self.handle(obj, word & 0xffff, self.data[8:size])
            self.data = self.data[size:]
        return True

    def handle(self, obj, opcode, body):
        self.events.append((obj, opcode, body))
        if obj == 1 and opcode == 0:
            target, code, length = struct.unpack("=III", body[:12])
            self.error = (target, code, body[12:12 + length - 1].decode(errors="replace"))
        elif obj == 2 and opcode == 0 and len(body) > 8:
            name, length = struct.unpack("=II", body[:8])
            interface = body[8:8 + length - 1].decode()
            self.globals[interface] = (name, struct.unpack("=I", body[-4:])[0])
        elif opcode == 0 and len(body) == 4:
            self.done.add(obj)

    def sync(self):
        callback = self.new()
        self.send(message(1, 0, u32(callback)))
        end = time.monotonic() + self.deadline
        while callback not in self.done:
            assert self.read(max(0, end - time.monotonic())), "deadline: waited for wl_callback.done"

    def start(self):
        """Registry and globals."""
        assert self.new() == 2
        self.send(message(1, 1, u32(2)))
        self.sync()
        return self

    def bind(self, interface, version=1):
        name, most = self.globals[interface]
        made = self.new()
        self.send(message(2, 0, u32(name) + string(interface) + u32(min(version, most), made)))
        return made

    def end(self):
        """Read until the connection is closed: the error that came, or None."""
        until = time.monotonic() + self.deadline
        try:
            while True:
                left = until - time.monotonic()
                assert left > 0 and self.read(left), "deadline: waited to be disconnected"
        except Lost:
            return self.error and self.error[:2]

    def close(self):
        self.sock.close()
