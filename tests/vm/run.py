#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run a program in a virtual machine whose root is this one's, and exit with its status.

The machine has the virtio-gpu device of a causeway-host that listens already. What the program writes
to files is gone with the machine. Needs the packages qemu-system-x86, linux-image-amd64, busybox-static,
cpio and kmod.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import threading

import boot
import guest


def copy(source, target):
    for line in source:
        target.write(line)
        target.flush()


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vhost-user", metavar="SOCKET",
                        help="where causeway-host --vhost-user SOCKET listens")
    parser.add_argument("--memory", default="2G", help="of the machine (default: %(default)s)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="for the program")
    parser.add_argument("--build", metavar="DIR", type=pathlib.Path,
                        help="where the initramfs is kept (default: build, or $CAUSEWAY_BUILD)")
    parser.add_argument("--check", action="store_true",
                        help="only say whether a machine can be booted, and how")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ARGS...")
    args = parser.parse_args()
    if args.program[:1] == ["--"]:
        del args.program[0]
    if not args.check and not args.program:
        parser.error("a program to run is missing")
    return args


def run(args):
    devices = boot.gpu_arguments(args.vhost_user) if args.vhost_user else []
    env = dict(guest.ENV, **dict(setting.split("=", 1) for setting in args.env))
    machine = guest.Guest(devices, memory=args.memory, build=args.build)
    try:
        print(f"vm: Linux {machine.release} is up after {machine.boot_seconds:.0f} s, under "
              f"{'KVM' if boot.kvm_works(args.build) else 'TCG'}", file=sys.stderr, flush=True)
        if devices:
            machine.run(["modprobe", "virtio-gpu"], check=True)
        program = machine.popen(args.program, env, os.getcwd())
        threads = [threading.Thread(target=copy, args=streams, daemon=True) for streams in
                   ((program.stdout, sys.stdout), (program.stderr, sys.stderr))]
        for thread in threads:
            thread.start()
        status = program.wait()
        for thread in threads:
            thread.join(10)
        if program.lost:
            machine.fail("the machine ended before the program did")
    finally:
        machine.finish()
    return status if status >= 0 else 128 - status


def main():
    args = parse()
    # An end by a signal is an orderly one too: the machine goes with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        boot.requirements()
        if args.check:
            print("KVM" if boot.kvm_works(args.build) else "TCG")
            return 0
        return run(args)
    except (boot.Missing, guest.GuestError, subprocess.SubprocessError) as error:
        print(f"vm: error: {error}", file=sys.stderr)
        return 125
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
