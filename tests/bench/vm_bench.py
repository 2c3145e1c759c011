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
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vm"), str(HERE.parent / "integration")]

import bench  # noqa: E402
import boot  # noqa: E402
import guest  # noqa: E402
import rig as lab  # noqa: E402
import vmrig  # noqa: E402

WAYPIPES = {"waypipe": [], "waypipe-none": ["--compress", "none"]}
WAYS = ["in-guest", "causeway", *WAYPIPES]
GUEST_TICKS = 100  # USER_HZ: the same on every x86 Linux
VSOCK_PORT = 5600
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


def tick_sum(stat):
    """Clock ticks of CPU time in a /proc/PID/stat, ended children included; of a thread's, its own."""
    return sum(int(x) for x in stat.rsplit(")", 1)[1].split()[11:15])


class Vsock:
    """The way that waypipe is made for: the kernels' own sockets between guest and host."""

    name = "vsock"

    def __init__(self):
        self.cid = 3 + os.getpid()
        self.count = 0

    @staticmethod
    def usable():
        return os.access("/dev/vhost-vsock", os.R_OK | os.W_OK)

    def devices(self):
        return ["-device", f"vhost-vsock-pci,guest-cid={self.cid}"]

    def prepare(self, vm):
        vm.run(["modprobe", "vmw_vsock_virtio_transport"], check=True)

    def connect(self, owner, key, extra):
        """Start waypipe client; returns the arguments for waypipe server in the guest."""
        self.count += 1
        port = VSOCK_PORT + self.count
        owner.start_host(key, ["waypipe", *extra, "--no-gpu", "--vsock", "--socket", str(port),
                               "client"])
        return ["--vsock", "--socket", f"2:{port}"]


class UserNetwork:
    """TCP through QEMU's user network; a relay at each end, because waypipe speaks no TCP."""

    name = "TCP through QEMU's user network (virtio-net, no vhost), with a splice relay at each end"

    def devices(self):
        return ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]

    def prepare(self, vm):
        vm.shell("modprobe virtio_net && until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done; "
                 "busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")

    def connect(self, owner, key, extra):
        channel = owner.bench.path("-".join(key) + ".wp")
        client = owner.start_host(key, ["waypipe", *extra, "--no-gpu", "--socket", channel,
                                        "client"])
        bench.await_path(channel, client, "waypipe client")
        relay = owner.bench.spawn(("relay", *key), [owner.program("relay"), "tcp:0",
                                                    f"unix:{channel}"])
        port = owner.await_log(relay, r"listening (\d+)")
        inner = f"{guest.ENV['XDG_RUNTIME_DIR']}/{'-'.join(key)}.wp"
        owner.start_guest(None, [owner.program("relay"), f"unix:{inner}", f"tcp:10.0.2.2:{port}"],
                          "listening")
        return ["--socket", inner]


class VmBench:
    """The machine, the compositors, and the ways between."""

    def __init__(self, build, keep_logs, ways):
        os.environ["CAUSEWAY_BUILD"] = build
        lab.DEADLINE = 60
        self.build = build
        self.ways = ways
        self.bench = bench.Bench(build, keep_logs)
        self.network = Vsock() if Vsock.usable() else UserNetwork()
        self.started = []
        self.machine = None
        try:
            self.hosts = {"weston": self.bench.start_weston(), "sway": self.bench.start_sway()}
            self.machine = vmrig.Machine(
                ["--allow", "zwlr_virtual_pointer_manager_v1"],
                devices=self.network.devices(), build=build)
            self.vm = self.machine.vm
            self.network.prepare(self.vm)
            self.guests = {}  # (compositor, way) -> process of the guest side
            self.displays = {name: self.open_ways(name) for name in self.hosts}
        except BaseException:
            self.stop()
            raise

    # Processes

    def program(self, name):
        return f"{self.build}/tests/bench/{name}"

    @staticmethod
    def await_log(process, pattern):
        """Wait until one of the host's processes has said something; returns the first group."""
        def look():
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            return re.search(pattern, pathlib.Path(process.log_path).read_text())
        return lab.wait_until(look, f"{pattern!r} from {process.args}")[1]

    def start_host(self, key, argv):
        return self.bench.spawn(key, argv,
                                WAYLAND_DISPLAY=self.hosts[key[0]])

    def start_guest(self, key, argv, line=None, **env):
        """Start a program in the guest; wait for a line of it, if one is named."""
        process = lab.Process(argv, popen=self.vm.popen(argv, dict(guest.ENV, **env)))
        self.started.append(process)
        if line:
            process.expect(f"{line}.*")
        if key:
            self.guests[key] = process
        return process

    def await_guest_socket(self, name, process):
        path = f"{guest.ENV['XDG_RUNTIME_DIR']}/{name}"

        def listening():
            assert process.running(), f"{process.argv} ended: {process.errors[-10:]}"
            rows = self.vm.read("/proc/net/unix").decode().splitlines()
            # waypipe binds by a relative name.
            return any(row.split()[3] == "00010000" and row.split()[-1] in (path, name)
                       for row in rows)
        lab.wait_until(listening, f"a socket at {path} in the guest")
        return name

    def open_ways(self, compositor):
        """way -> display in the guest."""
        displays = {}
        if "in-guest" in self.ways and compositor == "weston":
            config = f"{guest.ENV['XDG_RUNTIME_DIR']}/weston.ini"
            self.vm.write(config, pathlib.Path(self.bench.path("weston.ini")).read_bytes())
            process = self.start_guest((compositor, "in-guest"), [
                "weston", "--backend=headless", "--renderer=pixman", "--socket=in-guest",
                "--width=1920", "--height=1080", f"--config={config}"])
            displays["in-guest"] = self.await_guest_socket("in-guest", process)
        # One proxy for both compositors: the machine's host follows a link.
        if "causeway" not in {way for _, way in self.guests}:
            process = self.start_guest((compositor, "causeway"), [
                lab.program("causeway-guest"), "--transport", "virtgpu", "--socket", "causeway"])
            self.await_guest_socket("causeway", process)
            self.proxy = process
        self.guests[(compositor, "causeway")] = self.proxy
        if "causeway" in self.ways:
            displays["causeway"] = "causeway"
        for way, extra in WAYPIPES.items():
            if way not in self.ways:
                continue
            key = (compositor, way)
            where = self.network.connect(self, key, extra)
            process = self.start_guest(key, ["waypipe", *extra, "--no-gpu", *where, "--display",
                                             "-".join(key), "server", "--", "sleep", "infinity"])
            displays[way] = self.await_guest_socket("-".join(key), process)
        return {way: displays[way] for way in self.ways if way in displays}

    def stop(self):
        """First the guest's programs, then the machine, then the host's."""
        for process in reversed(self.started):
            with contextlib.suppress(guest.GuestError, AssertionError):
                process.kill()
        if self.machine:
            with contextlib.redirect_stdout(sys.stderr if self.bench.keep_logs else None):
                self.machine.finish()
        self.bench.stop()

    # What processes used

    def guest_tree(self, pid):
        """A process of the guest's with its children."""
        found = [pid]
        with contextlib.suppress(guest.GuestError):
            for child in self.vm.read(f"/proc/{pid}/task/{pid}/children").split():
                found += self.guest_tree(int(child))
        return found

    def guest_ms(self, key):
        total = 0
        for pid in self.guest_tree(self.guests[key].pid):
            with contextlib.suppress(guest.GuestError):
                total += tick_sum(self.vm.read(f"/proc/{pid}/stat").decode())
        return total * 1000 / GUEST_TICKS

    def host_ms(self, key):
        if key[1] == "causeway":
            stat = pathlib.Path(f"/proc/{self.machine.host.pid}/stat").read_text()
            return tick_sum(stat) * 1000 / bench.TICKS
        return self.bench.cpu_ms(key)

    def qemu_ms(self):
        """(virtual CPUs, the rest) of QEMU."""
        used = {True: 0, False: 0}
        for stat in pathlib.Path(f"/proc/{self.vm.qemu.pid}/task").glob("*/stat"):
            text = stat.read_text()
            fields = text.rsplit(")", 1)[1].split()
            used["(CPU " in text] += int(fields[11]) + int(fields[12])
        return used[True] * 1000 / bench.TICKS, used[False] * 1000 / bench.TICKS

    def cpu_times(self, key):
        """Milliseconds of CPU time so far; in-guest has no side of its own."""
        vcpus, devices = self.qemu_ms()
        bridge = key[1] != "in-guest"
        return {"virtual CPUs": vcpus, "QEMU's devices": devices,
                "guest side": self.guest_ms(key) if bridge else 0,
                "host side": self.host_ms(key) if bridge else 0}

    def memory_mib(self, key):
        """Proportional set sizes of guest side and host side."""
        pattern = re.compile(r"^Pss:\s+(\d+)", re.M)
        total = 0
        for pid in self.guest_tree(self.guests[key].pid):
            with contextlib.suppress(guest.GuestError):
                rollup = self.vm.read(f"/proc/{pid}/smaps_rollup").decode()
                total += int(pattern.search(rollup)[1])
        if key[1] != "causeway":
            return total / 1024 + self.bench.memory_mib(key)
        rollup = pathlib.Path(f"/proc/{self.machine.host.pid}/smaps_rollup").read_text()
        return (total + int(pattern.search(rollup)[1])) / 1024

    def copied_bytes(self):
        """Pixel bytes copied so far by both programs of ours; SIGUSR1 makes them say."""
        total = 0
        for process in (self.proxy, self.machine.host):
            def said(process=process):
                return re.findall(r"copied_bytes=(\d+)", "\n".join(process.errors))
            before = len(said())
            process.popen.send_signal(signal.SIGUSR1)
            total += int(lab.wait_until(lambda: said()[before:], "counters after SIGUSR1")[-1])
        return total

    # Measurements

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


def measure(machine, rows, args):
    """All rows, interleaved."""
    values = Values()
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
    return values


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
    parser.add_argument("--ways", default=",".join(WAYS))
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
    ways = [way for way in WAYS if way in args.ways.split(",")]
    machine = None
    try:
        machine = VmBench(os.path.abspath(args.build), args.keep_logs, ways)
        start = time.monotonic()
        values = measure(machine, rows, args)
        print(f"measured for {time.monotonic() - start:.0f} s", file=sys.stderr)
        print_head(machine)
        bench.print_table(values, units_of(values, rows), ways, "waypipe")
    except (bench.Failed, guest.GuestError, AssertionError) as error:
        print(f"vm_bench: {error}", file=sys.stderr)
        return 1
    finally:
        if machine:
            machine.stop()
    if args.junit:
        bench.write_junit(values, args.junit)
    return int(any(math.isnan(value) for got in values.values() for value in got))


if __name__ == "__main__":
    sys.exit(main())
