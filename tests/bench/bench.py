#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare Wayland through Causeway with a direct connection and with waypipe.

Each repetition runs every measurement once per way, one way after the other; ratios are taken within
a repetition and their median is printed. Latencies have every process pinned to one CPU, throughput
runs unpinned. Needs the build environment (tests/env/enter) and a build.
"""
import argparse
import contextlib
import math
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from xml.sax.saxutils import quoteattr

TICKS = os.sysconf("SC_CLK_TCK")

# name, unit, compositor, pinned, better ("low" or "high"), client arguments
ROWS = [
    ("sync round trip", "us", "weston", True, "low", ["roundtrip", "2000"]),
    ("commit + sync, 64x64 damage", "us", "weston", True, "low", ["commit-small", "1000"]),
    ("commit + sync, full 1080p", "us", "weston", True, "low", ["commit-full", "300"]),
    ("1080p uncapped, 64x64 damage", "fps", "weston", False, "high", ["fps-small", "3000"]),
    ("1080p uncapped, full damage", "fps", "weston", False, "high", ["fps-full", "800"]),
    ("input to client", "us", "sway", True, "low", ["input", "500"]),
    ("input to 720p frame at the host", "us", "sway", True, "low", ["input-frame", "200"]),
    ("start-up to first frame", "ms", "weston", True, "low", ["startup"]),
    ("windows mapped and unmapped", "/s", "weston", False, "high", ["windows", "300"]),
    ("clipboard to guest", "MiB/s", "sway", False, "high", ["paste", "256"]),
]


class Failed(Exception):
    """A measurement that could not be made."""


def await_socket(path, process, what, seconds=20):
    """Wait until something accepts connections at path."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
                return
            except OSError:
                pass
        if process.poll() is not None:
            raise Failed(f"{what} ended with status {process.returncode}")
        time.sleep(0.02)
    raise Failed(f"{what} did not listen at {path} within {seconds} s")


def await_path(path, process, what, seconds=20):
    """Wait until a socket file that must not be probed by a connection is there."""
    deadline = time.monotonic() + seconds
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{what} did not come up")
        time.sleep(0.02)


class Bench:
    """Compositors, bridges and their processes, in a runtime directory of their own."""

    def __init__(self, build, keep_logs):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="causeway-bench-")
        self.keep_logs = keep_logs
        self.processes = {}  # (compositor, way) -> list of Popen; way None: the compositor
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, LANG="C.UTF-8")
        self.env.pop("WAYLAND_DISPLAY", None)

    def spawn(self, key, argv, **env):
        """Start a long-running process, with its output in a log file."""
        log = open(os.path.join(self.dir, f"{len(self.processes)}-{argv[0].split('/')[-1]}.log"), "ab")
        process = subprocess.Popen(argv, env=dict(self.env, **env), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        process.log_path = log.name
        self.processes.setdefault(key, []).append(process)
        return process

    def path(self, name):
        return os.path.join(self.dir, name)

    def start_weston(self):
        config = self.path("weston.ini")
        with open(config, "w") as f:
            f.write("[core]\nidle-time=0\nrequire-input=false\n[shell]\npanel-position=none\n"
                    "animation=none\nstartup-animation=none\n")
        process = self.spawn(("weston", None), [
            "weston", "--backend=headless", "--renderer=pixman", "--socket=weston-0",
            "--width=1920", "--height=1080", f"--config={config}"])
        await_socket(self.path("weston-0"), process, "weston")
        return "weston-0"

    def start_sway(self):
        config = self.path("sway.conf")
        with open(config, "w") as f:
            f.write("output * resolution 1280x720 position 0 0\nxwayland disable\n"
                    "default_border none\nseat seat0 fallback true\n"
                    f"exec sh -c 'echo $WAYLAND_DISPLAY >{self.path('sway-display.new')} && "
                    f"mv {self.path('sway-display.new')} {self.path('sway-display')}'\n")
        process = self.spawn(("sway", None), ["sway", "-c", config], WLR_BACKENDS="headless",
                             WLR_RENDERER="pixman", WLR_LIBINPUT_NO_DEVICES="1")
        await_path(self.path("sway-display"), process, "sway")
        with open(self.path("sway-display")) as f:
            return f.read().strip()

    def start_causeway(self, compositor, display, way, extra):
        key = (compositor, way)
        host_socket = self.path(f"{compositor}-{way}.sock")
        guest = f"{compositor}-{way}"
        host = self.spawn(key, [
            f"{self.build}/host-renderer/causeway-host", "--socket", host_socket,
            "--wayland-display", display, "--allow", "zwlr_virtual_pointer_manager_v1"])
        await_path(host_socket, host, "causeway-host")
        proxy = self.spawn(key, [
            f"{self.build}/guest-proxy/causeway-guest", "--transport", f"socket:{host_socket}",
            "--socket", guest, *extra])
        await_socket(self.path(guest), proxy, "causeway-guest")
        return guest

    def start_waypipe(self, compositor, display, way, extra):
        key = (compositor, way)
        channel = self.path(f"{compositor}-{way}.wp")
        guest = f"{compositor}-{way}"
        client = self.spawn(key, ["waypipe", *extra, "--no-gpu", "--socket", channel, "client"],
                            WAYLAND_DISPLAY=display)
        await_path(channel, client, "waypipe client")
        server = self.spawn(key, ["waypipe", *extra, "--no-gpu", "--socket", channel, "--display",
                                  guest, "server", "--", "sleep", "infinity"])
        await_socket(self.path(guest), server, "waypipe server")
        return guest

    def tree(self, key, part=None):
        """Process ids of a bridge or compositor, or of the part-th process started for it, children
        included."""
        processes = self.processes.get(key, [])
        roots = {p.pid for p in (processes if part is None else processes[part:part + 1])}
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{entry}/stat") as f:
                        parents[int(entry)] = int(f.read().rsplit(")", 1)[1].split()[1])
        found = set(roots)
        while True:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            if not more:
                return found
            found |= more

    def pin(self, compositor, pinned):
        """Put a compositor and all its bridges on one CPU, or on all."""
        cpus = {0} if pinned else set(range(os.cpu_count()))
        for key in self.processes:
            if key[0] != compositor:
                continue
            for pid in self.tree(key):
                with contextlib.suppress(OSError):
                    for tid in os.listdir(f"/proc/{pid}/task"):
                        os.sched_setaffinity(int(tid), cpus)
        return cpus

    def cpu_ms(self, key, part=None):
        """CPU time used so far by a bridge or compositor, ended children included."""
        total = 0
        for pid in self.tree(key, part):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                total += sum(int(x) for x in fields[11:15])
        return total * 1000 / TICKS

    def memory_mib(self, key):
        """Proportional set size of all processes of a bridge."""
        total = 0
        for pid in self.tree(key):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
        return total / 1024

    def client(self, display, host_display, args, cpus):
        """Run one measurement; returns its value."""
        env = dict(self.env, WAYLAND_DISPLAY=display, BENCH_HOST_DISPLAY=host_display)
        start = time.monotonic()
        result = subprocess.run([f"{self.build}/tests/bench/bench-client", *args], env=env,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, cpus), timeout=150)
        elapsed = (time.monotonic() - start) * 1000
        if result.returncode != 0:
            raise Failed(result.stderr.strip() or f"status {result.returncode}")
        return float(result.stdout.split()[0]) if result.stdout else elapsed

    def copied_bytes(self, key):
        """Pixel bytes copied so far by both programs of a bridge of ours; SIGUSR1 makes them say."""
        total = 0
        for process in self.processes[key]:
            with open(process.log_path, encoding="utf-8") as f:
                before = f.read().count("copied_bytes=")
            process.send_signal(signal.SIGUSR1)
            deadline = time.monotonic() + 10
            while True:
                with open(process.log_path, encoding="utf-8") as f:
                    said = re.findall(r"copied_bytes=(\d+)", f.read())
                if len(said) > before:
                    total += int(said[-1])
                    break
                if time.monotonic() > deadline:
                    raise Failed("no counters within 10 s of SIGUSR1")
                time.sleep(0.01)
        return total

    def hold_memory(self, key, display, count):
        """Memory of a bridge while it carries that many windows."""
        env = dict(self.env, WAYLAND_DISPLAY=display)
        clients = [subprocess.Popen([f"{self.build}/tests/bench/bench-client", "hold"], env=env,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                   for _ in range(count)]
        try:
            for client in clients:
                if client.stdout.readline().strip() != b"ready":
                    raise Failed("a client could not open its window")
            return self.memory_mib(key)
        finally:
            for client in clients:
                client.stdin.close()
            for client in clients:
                client.wait(timeout=20)

    def stop(self):
        """End everything and remove the directory."""
        for processes in self.processes.values():
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        for processes in self.processes.values():
            for process in processes:
                try:
                    process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
        if self.keep_logs:
            print(f"logs: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def ways_of(bench, compositor, display, chosen):
    """Start the bridges in front of one compositor; returns way -> display."""
    ways = {"direct": display}
    for way, extra in (("causeway", []), ("causeway-mirror", ["--shm", "mirror"])):
        if way in chosen:
            ways[way] = bench.start_causeway(compositor, display, way, extra)
    for way, extra in (("waypipe", []), ("waypipe-none", ["--compress", "none"])):
        if way in chosen:
            ways[way] = bench.start_waypipe(compositor, display, way, extra)
    return ways


def cpu_times(bench, compositor, way):
    """Milliseconds of CPU time used so far by each process that a frame passes."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "client": (own.ru_utime + own.ru_stime) * 1000,
        "guest side": bench.cpu_ms((compositor, way), 1) if way != "direct" else 0,
        "host side": bench.cpu_ms((compositor, way), 0) if way != "direct" else 0,
        "compositor": bench.cpu_ms((compositor, None)),
    }


def measure(bench, rows, displays, repetitions):
    """All rows, interleaved; returns (row name, way) -> list of values."""
    values = {}

    def note(name, way, value):
        values.setdefault((name, way), []).append(value)

    for repetition in range(repetitions):
        for name, _unit, compositor, pinned, _better, args in rows:
            cpus = bench.pin(compositor, pinned)
            for way, display in displays[compositor].items():
                counted = way.startswith("causeway") and args[0].startswith("fps-")
                copied = bench.copied_bytes((compositor, way)) if counted else 0
                before = cpu_times(bench, compositor, way)
                try:
                    value = bench.client(display, displays[compositor]["direct"], args, cpus)
                except (Failed, subprocess.TimeoutExpired) as e:
                    print(f"{name}, {way}: {e}", file=sys.stderr)
                    value = float("nan")
                note(name, way, value)
                if counted:
                    copied = bench.copied_bytes((compositor, way)) - copied
                    note(f"copied per frame, {name.rsplit(', ', 1)[1]}", way,
                         copied / int(args[1]) / 1024)
                if args[0] == "fps-full":
                    after = cpu_times(bench, compositor, way)
                    for part, used in after.items():
                        note(f"CPU per full frame, {part}", way,
                             (used - before[part]) / int(args[1]))
        print(f"repetition {repetition + 1} of {repetitions} done", file=sys.stderr)
    for way, display in displays.get("weston", {}).items():
        if way != "direct":
            note("memory, 32 clients", way, bench.hold_memory(("weston", way), display, 32))
    return values


def ratio(values, name, way, base):
    """Median over the repetitions of way / base."""
    pairs = [a / b for a, b in zip(values.get((name, way), []), values.get((name, base), []))
             if b > 0]
    return statistics.median(pairs) if pairs else float("nan")


def print_table(values, units, ways, base="direct"):
    """The result as a Markdown table: a row for each name in units, with ratios to the way base."""
    print("| measurement | " + " | ".join(ways) + " |")
    print("|---|" + "---|" * len(ways))
    for name, unit in units.items():
        cells = []
        for way in ways:
            got = values.get((name, way))
            if not got:
                cells.append("-")
                continue
            cell = f"{statistics.median(got):.4g}"
            times = ratio(values, name, way, base)
            if way != base and not math.isnan(times):
                cell += f" ({times:.2f}x)"
            cells.append(cell)
        print(f"| {name}, {unit} | " + " | ".join(cells) + " |")


def units_of(rows):
    """Unit of each row of the table, by its name."""
    units = {name: unit for name, unit, *_ in rows}
    units.update({f"CPU per full frame, {part}": "ms"
                  for part in ("client", "guest side", "host side", "compositor")})
    units.update({
        "copied per frame, 64x64 damage": "KiB",
        "copied per frame, full damage": "KiB",
        "memory, 32 clients": "MiB"})
    return units


def write_junit(values, path):
    """One test case per measurement and way; a measurement that could not be made failed."""
    with open(path, "w", encoding="utf-8") as f:
        f.write("<testsuite>\n")
        for (name, way), got in values.items():
            failed = any(math.isnan(value) for value in got)
            f.write(f"<testcase classname={quoteattr(way)} name={quoteattr(name)}>"
                    f"{'<failure message=\'no value\'/>' if failed else ''}</testcase>\n")
        f.write("</testsuite>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="build directory (default: build)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--ways", default="causeway,causeway-mirror,waypipe,waypipe-none")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--junit", help="also write a junit XML file: a test per measurement and way")
    parser.add_argument("--keep-logs", action="store_true")
    args = parser.parse_args()
    rows = [row for row in ROWS if args.rows in row[0]]
    chosen = args.ways.split(",")
    bench = Bench(os.path.abspath(args.build), args.keep_logs)
    try:
        displays = {}
        for compositor in sorted({row[2] for row in rows}):
            start = bench.start_weston if compositor == "weston" else bench.start_sway
            displays[compositor] = ways_of(bench, compositor, start(), chosen)
        values = measure(bench, rows, displays, args.repetitions)
        print_table(values, units_of(rows), ["direct", *chosen])
        if args.junit:
            write_junit(values, args.junit)
        if any(math.isnan(value) for got in values.values() for value in got):
            return 1
    except Failed as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    finally:
        bench.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
