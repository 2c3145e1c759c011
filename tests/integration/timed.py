# SPDX-License-Identifier: MIT
"""A compositor of a few lines whose clocks are the test's: what it says of times is known exactly, and so is what
it is told. It shows nothing."""
import socket
import struct
import threading
import time

import rig as lab
from wire import message, string, u32

NSEC = 1_000_000_000
NAMES = ["wl_compositor", "wp_presentation", "wp_commit_timing_manager_v1", "wp_fifo_manager_v1",
         "wp_tearing_control_manager_v1", "wl_seat", "zwp_input_timestamps_manager_v1"]
# Requests that make an object: (interface, opcode) -> (place of its id, its interface).
MAKES = {
    ("wl_compositor", 0): (0, "wl_surface"), ("wl_surface", 3): (0, "wl_callback"),
    ("wp_presentation", 1): (1, "wp_presentation_feedback"),
    ("wp_commit_timing_manager_v1", 1): (0, "wp_commit_timer_v1"),
    ("wp_fifo_manager_v1", 1): (0, "wp_fifo_v1"),
    ("wp_tearing_control_manager_v1", 1): (0, "wp_tearing_control_v1"),
    ("wl_seat", 1): (0, "wl_keyboard"),
    ("zwp_input_timestamps_manager_v1", 2): (0, "zwp_input_timestamps_v1"),
    ("zwp_input_timestamps_manager_v1", 1): (0, "zwp_input_timestamps_v1"),
}

# Whose event ends them.
ENDS = ("wp_presentation_feedback", "wl_callback")


def split(ns):
    """As messages carry a time."""
    return ns // NSEC >> 32, ns // NSEC & 0xffffffff, ns % NSEC


def joined(words):
    return (words[0] << 32 | words[1]) * NSEC + words[2]


class Connection:
    """One client's."""

    def __init__(self, owner, sock):
        self.owner, self.sock = owner, sock
        self.objects = {1: "wl_display"}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            self._serve()
        except OSError:
            pass  # the client has gone, or the test has ended

    def _serve(self):
        data = b""
        while more := self.sock.recv(65536):
            data += more
            while len(data) >= 8 and len(data) >= (size := struct.unpack("=II", data[:8])[1] >> 16):
                obj, word = struct.unpack("=II", data[:8])
                body = data[8:size]
                words = struct.unpack(f"={len(body) // 4}I", body)
                self._handle(obj, self.objects[obj], word & 0xffff, words)
                data = data[size:]

    def _handle(self, obj, interface, opcode, words):
        if interface == "wl_display" and opcode == 1:
            self.objects[words[0]] = "wl_registry"
            for name, known in enumerate(NAMES):
                self.send(words[0], 0, u32(name) + string(known) + u32(1))
        elif interface == "wl_display":
            self.send(words[0], 0, u32(0))
            self.send(1, 1, u32(words[0]))
        elif interface == "wl_registry":
            self.objects[words[-1]] = NAMES[words[0]]
            if NAMES[words[0]] == "wp_presentation":
                self.send(words[-1], 0, u32(self.owner.clock))
        else:
            place, made = MAKES.get((interface, opcode), (0, None))
            if made:
                self.objects.pop(words[place], None)  # so that it is the newest
                self.objects[words[place]] = made
            self.owner.client = self
            self.owner.said.append((interface, opcode, words))

    def send(self, obj, opcode, body):
        self.sock.sendall(message(obj, opcode, body))


class Compositor:
    """said: [(interface, opcode, words)] of all requests but those of display and registry. client: the one who
    said the last."""

    def __init__(self, rig, clock=time.CLOCK_MONOTONIC):
        self.clock = clock
        self.said = []
        self.client = None
        self.connections = []
        self.display = f"timed-{rig.number()}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(rig.dir / self.display))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.connections.append(Connection(self, self.listener.accept()[0]))
            except OSError:
                return

    def count(self, interface, opcode):
        return sum(1 for i, o, _ in self.said if (i, o) == (interface, opcode))

    def wait_said(self, interface, opcode, count=1):
        """Words of the newest request of a kind, once there are as many."""
        lab.wait_until(lambda: self.count(interface, opcode) >= count,
                       lambda: f"{count} of {interface}'s request {opcode}; was told {self.said}")
        return [w for i, o, w in self.said if (i, o) == (interface, opcode)][-1]

    def send(self, interface, opcode, body):
        """An event of the newest object of an interface, which it may end."""
        obj = next(i for i, name in reversed(self.client.objects.items()) if name == interface)
        self.client.send(obj, opcode, body)
        if interface in ENDS:
            self.client.send(1, 1, u32(obj))

    def now(self):
        return time.clock_gettime_ns(self.clock)

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.sock.close()
