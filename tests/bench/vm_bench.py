#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare Wayland out of a virtual machine through Causeway with waypipe, in one machine and one run.

The client of bench.py runs in the guest. Ways to the compositors of the host: "causeway" (causeway-guest
on the virtio-gpu that causeway-host serves) and waypipe (default, and --compress none), over vsock where
/dev/vhost-vsock can be opened, else over TCP through QEMU's user network with a relay at each end.
"in-guest" is no way to the host: a weston in the guest, to show what the guest's CPU alone costs.

Each repetition runs every measurement once per way, one way after the other; ratios (to waypipe's
default) are taken within a repetition and their median is printed. Nothing is pinned to a CPU. Pointer
motions are injected from the guest, through Causeway for all ways. Needs the build environment
(tests/env/enter) and a build.
"""
import argparse
import contextlib
import math
import os
import pathlib
import re
import subprocess
import sys
import time

import bench
import vm_ways  # it says where the rest is
import boot
import guest
import rig as lab

HOLDERS = 32
# How often, in the place of bench.py's counts.
COUNTS = {"roundtrip": 1000, "commit-small": 500, "commit-full": 60, "fps-small": 1000,
          "fps-full": 100, "input": 200, "input-frame": 60, "startup": 7, "windows": 60, "paste": 64}
TRIPS = {"fence": "exec + fence", "event": "exec + event of a polled ring",
         "channel": "sync without proxy: SEND, POLL, mailbox"}
TRIP_COUNT = 2000
CPU_PARTS = ("client", "guest side", "virtual CPUs", "QEMU's devices", "host side")


def rows_of(scale):
    """bench.py's rows, with counts for here."""
    made = []
    for name, unit, compositor, _pinned, _better, args in bench.ROWS:
        if args[0] == "input":
            name = "input to client, injection included"
        elif args[0] == "input-frame":
            name = "input to 720p frame at the host, injection included"
        made.append((name, unit, compositor, [args[0], max(1, int(COUNTS[args[0]] * scale))]))
    return made


class VmBench(vm_ways.Ways):
    """What is measured there."""

    def point_at(self, compositor):
        self.machine.connect(self.bench.path(self.hosts[compositor]))

    def client(self, display, args):
        """Run one measurement; returns its value and the CPU time (ms) that it told, if any."""
        env = dict(guest.ENV, WAYLAND_DISPLAY=display)
        if args[0].startswith("input"):
            env["BENCH_HOST_DISPLAY"] = "causeway"
        done = self.vm.run([self.program("bench-client"), *map(str, args)], env, deadline=150)
        if done.returncode != 0:
            raise bench.Failed(done.stderr.strip() or f"status {done.returncode}")
        cpu = re.search(r"^cpu (\S+)", done.stdout, re.M)
        return float(done.stdout.split()[0]), float(cpu[1]) if cpu else None

    @contextlib.contextmanager
    def clipboard(self, compositor, args):
        """Somebody on the host owns the clipboard meanwhile, if the measurement is of that."""
        if args[0] != "paste":
            yield
            return
        env = dict(self.bench.env, WAYLAND_DISPLAY=self.hosts[compositor])
        with subprocess.Popen([self.program("bench-client"), "own", str(args[1])], env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
            if owner.stdout.readline().strip() != b"ready":
                raise bench.Failed("nobody could own the clipboard")
            try:
                yield
            finally:
                owner.stdin.close()

    def trip(self, mode, count):
        """{median, min, avg} of a round trip without the proxy, in us."""
        done = self.vm.run([self.program("exec-fence"), mode, str(count)], deadline=150)
        if done.returncode != 0:
            raise bench.Failed(done.stderr.strip())
        words = done.stdout.split()
        return {"median": float(words[0]), "minimum": float(words[3]), "average": float(words[5])}

    def hold_memory(self, key, display, count):
        """Memory of a way while it carries that many windows."""
        env = dict(guest.ENV, WAYLAND_DISPLAY=display)
        argv = [self.program("bench-client"), "hold"]
        clients = [lab.Process(argv, popen=self.vm.popen(argv, env)) for _ in range(count)]
        try:
            for client in clients:
                client.expect("ready")
            return self.memory_mib(key)
        finally:
            for client in clients:
                client.popen.stdin.close()
            for client in clients:
                client.wait()


class Values(dict):
    """(row name, way) -> list of values."""

    def note(self, name, way, value):
        self.setdefault((name, way), []).append(value)


def measure_row(machine, row, values):
    """One measurement, every way."""
    name, _unit, compositor, args = row
    machine.point_at(compositor)
    for way, display in machine.displays[compositor].items():
        counted = way == "causeway" and args[0].startswith("fps-")
        value, cpu = math.nan, None
        try:
            copied = machine.copied_bytes() if counted else 0
            before = machine.cpu_times((compositor, way))
            value, cpu = machine.client(display, args)
            after = machine.cpu_times((compositor, way))
            if counted:
                values.note(f"copied per frame, {name.rsplit(', ', 1)[1]}", way,
                            (machine.copied_bytes() - copied) / args[1] / 1024)
        except (bench.Failed, guest.GuestError, AssertionError) as error:
            print(f"{name}, {way}: {error}", file=sys.stderr)
        values.note(name, way, value)
        if cpu is not None and args[0] == "fps-full":
            values.note("CPU per full frame, client", way, cpu)
            for part, used in after.items():
                values.note(f"CPU per full frame, {part}", way, (used - before[part]) / args[1])


def measure(machine, rows, args, values):
    """All rows, interleaved."""
    for compositor, displays in machine.displays.items():
        machine.point_at(compositor)
        for display in displays.values():
            machine.client(display, ["startup", 1])  # so that the files are in the guest's memory
    for repetition in range(args.repetitions):
        for row in rows:
            with machine.clipboard(row[2], row[3]):
                measure_row(machine, row, values)
        for mode, name in TRIPS.items() if args.rows in "exec + fence" else ():
            machine.point_at("weston")
            for kind, us in machine.trip(mode, max(1, int(TRIP_COUNT * args.scale))).items():
                values.note(f"{name}: {kind}", "causeway", us)
        print(f"repetition {repetition + 1} of {args.repetitions} done", file=sys.stderr)
    holders = max(2, int(HOLDERS * min(args.scale * 2, 1)))
    for way, display in machine.displays["weston"].items() if not args.rows else ():
        if way != "in-guest":
            machine.point_at("weston")
            values.note(f"memory, {holders} clients", way,
                        machine.hold_memory(("weston", way), display, holders))


def units_of(values, rows):
    """Units by name, in the order of the table."""
    units = {name: unit for name, unit, *_ in rows}
    units.update({f"CPU per full frame, {part}": "ms" for part in CPU_PARTS})
    for name, _way in values:
        if name not in units:
            units[name] = "KiB" if "copied" in name else "MiB" if "memory" in name else "us"
    return {name: unit for name, unit in units.items() if name in {n for n, _ in values}}


def print_head(machine):
    kvm = boot.kvm_works(machine.build)
    said = "; the host's CPU runs the guest's code" if kvm else \
        ("; QEMU translates each of the guest's instructions, so what runs in the guest, kernel "
         "included, is many times slower than under KVM, and what runs on the host is not")
    print(f"Guest: Linux {machine.vm.release}, 2 virtual CPUs, under {'KVM' if kvm else 'TCG'}"
          f"{said}.\nwaypipe's way: {machine.network.name}.\nHost: {os.cpu_count()} CPUs, load "
          f"average {os.getloadavg()[0]:.1f} at the end (ours included).\n")


def skip(reason, junit):
    """Without QEMU or a kernel there is nothing to measure; that is no failure."""
    print(f"vm_bench: skipped: {reason}", file=sys.stderr)
    if junit:
        pathlib.Path(junit).write_text(
            "<testsuite><testcase classname='vm_bench' name='vm_bench'><skipped message="
            f"{bench.quoteattr(reason)}/></testcase></testsuite>\n")
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build directory (default: build)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1,
                        help="times the usual counts (0.02: only to see that it runs)")
    parser.add_argument("--ways", default=",".join(vm_ways.WAYS))
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--junit", help="also write a junit XML file: a test per measurement and way")
    parser.add_argument("--keep-logs", action="store_true")
    return parser.parse_args()


def main():
    args = parse()
    try:
        boot.requirements()
    except boot.Missing as error:
        return skip(f"no virtual machine: {error}", args.junit)
    rows = [row for row in rows_of(args.scale) if args.rows in row[0]]
    ways = [way for way in vm_ways.WAYS if way in args.ways.split(",")]
    machine = None
    values = Values()
    failed = False
    try:
        machine = VmBench(os.path.abspath(args.build), args.keep_logs, ways)
        start = time.monotonic()
        measure(machine, rows, args, values)
        print(f"measured for {time.monotonic() - start:.0f} s", file=sys.stderr)
    except (bench.Failed, guest.GuestError, AssertionError, OSError) as error:
        # What was measured before is still worth something.
        print(f"vm_bench: {error}", file=sys.stderr)
        failed = True
    finally:
        if values:
            print_head(machine)
            bench.print_table(values, units_of(values, rows), ways, "waypipe")
        if machine:
            machine.stop()
    if args.junit:
        bench.write_junit(values, args.junit)
    return int(failed or any(math.isnan(value) for got in values.values() for value in got))


if __name__ == "__main__":
    sys.exit(main())
