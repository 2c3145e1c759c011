#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A program that presents: prints "clock ID"; for each line on stdin "committed", then "presented T BEFORE AFTER":
the time that it was told, and its own clock's before the commit and behind the event, in ns."""
import pathlib
import struct
import os
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))

import wire  # noqa: E402
from wire import message, u32  # noqa: E402


def wait_event(client, obj, opcode):
    while True:
        for found, code, body in client.events:
            if (found, code) == (obj, opcode):
                return struct.unpack(f"={len(body) // 4}I", body)
        assert client.read(client.deadline), f"deadline: waited for event {opcode} of {obj}"


def main():
    client = wire.Client(f"{os.environ['XDG_RUNTIME_DIR']}/{os.environ['WAYLAND_DISPLAY']}", deadline=60)
    client.start()
    compositor, presentation = client.bind("wl_compositor"), client.bind("wp_presentation")
    surface = client.new()
    client.send(message(compositor, 0, u32(surface)))
    clock = wait_event(client, presentation, 0)[0]
    print("clock", clock, flush=True)
    for _ in sys.stdin:
        feedback = client.new()
        before = time.clock_gettime_ns(clock)
        client.send(message(presentation, 1, u32(surface, feedback)) + message(surface, 6))
        client.sync()
        print("committed", flush=True)
        high, low, nsec = wait_event(client, feedback, 1)[:3]
        after = time.clock_gettime_ns(clock)
        print("presented", (high << 32 | low) * 1_000_000_000 + nsec, before, after, flush=True)


main()
