#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands for QEMU: prints what it was started with, obeys lines on stdin, prints signals it gets.

FAKE_QEMU_VERSION: what --version says; FAKE_QEMU_NO_DEVICE: lacks the generic device.
"""
import json
import os
import signal
import socket
import struct
import sys

GET_FEATURES = 1


def fds():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # of listdir itself
    return found


def status(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(key + ":"))


def say(*words):
    # Not by a file object, which can't be used while a signal's handler interrupts another use.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def ask_device():
    """The features that the device on the added chardev offers."""
    number = next(part[3:] for arg in sys.argv for part in arg.split(",") if part[:3] == "fd=")
    with socket.socket(fileno=os.dup(int(number))) as sock:
        sock.settimeout(20)
        sock.sendall(struct.pack("=III", GET_FEATURES, 1, 0))
        answer = sock.recv(20, socket.MSG_WAITALL)
    return struct.unpack("=IIIQ", answer)[3]


def main():
    if sys.argv[1:] == ["--version"]:
        say("QEMU emulator version", os.environ.get("FAKE_QEMU_VERSION", "11.1.3 (fake)"))
        return 0
    if sys.argv[-1].endswith(",help"):
        return 1 if os.environ.get("FAKE_QEMU_NO_DEVICE") else 0
    start = {"argv": sys.argv[1:], "fds": fds(), "blocked": status("SigBlk"),
             "ignored": status("SigIgn"), "pgrp": os.getpgrp(), "pid": os.getpid()}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, frame: say("signal", got))
    say("start", json.dumps(start))
    rest = b""
    while True:
        more = os.read(0, 4096)
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            word, *args = line.decode().split()
            if word == "exit":
                return int(args[0])
            if word == "die":
                signal.signal(int(args[0]), signal.SIG_DFL) if int(args[0]) != 9 else None
                os.kill(os.getpid(), int(args[0]))
            if word == "device":
                say("features", ask_device())
            if word == "echo":
                say(*args)
        if not more:
            return 0


sys.exit(main())
