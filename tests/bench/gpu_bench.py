#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare GPU programs in a virtual machine, through Causeway, with the same beside the compositor.

Everything is on one weston of the host (--renderer=gl, 1000 Hz) on Mesa's software GPU, with dma-bufs by
tests/fixture/udmabuf.c. Ways: "direct" (the program on the host, on lavapipe, Zink on lavapipe, llvmpipe),
"vtest" (the program on the host, on Venus by virglrenderer's own virgl_test_server: without a virtual machine
and without us), "container" (the same as vtest, but its Wayland through causeway-guest and causeway-host over
their socket: what the bridge itself costs, at native speed), "causeway" (the program in the guest). Frames are commits of the program's surface, in a
window of time that begins when its first frames are through; nothing waits for the display. Where QEMU
translates the guest's code, small frames measure that; the larger ones, which take the GPU longer, show more
of the bridge.

Each repetition runs every measurement once per way, one way after the other; ratios (to direct) are taken
within a repetition and their median is printed. QEMU's own virtio-gpu-gl-pci is no way here: on a machine
without /dev/dri/renderD* its displays that have OpenGL don't start ("egl: no drm render node available").
Needs the build environment (tests/env/enter) and a build.
"""
import argparse
import contextlib
import math
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

import bench
import vm_ways  # it says where the rest is
import boot
import guest
import pixels
import rig as lab
import vmrig

ICDS = "/usr/share/vulkan/icd.d"
STILL = "tests/integration/clients/still.so"
READY = 10  # frames before the window of time
SECONDS = 8
ZINK = {"MESA_LOADER_DRIVER_OVERRIDE": "zink", "LIBGL_ALWAYS_SOFTWARE": "1"}
WAYS = ("direct", "vtest", "container", "causeway")
CPU_PARTS = ("program", "GPU processes", "causeway-host", "causeway-guest", "virtual CPUs", "QEMU's devices", "weston")


def cube(width=400, height=300):
    return ["vkcube", "--wsi", "wayland", "--present_mode", "0", "--width", str(width), "--height",
            str(height)]


def glmark2(scene, size="400x300"):
    return ["glmark2-es2-wayland", "-s", size, "-b", f"{scene}:duration=1000"]


# (name, programs at once, argv, further environment, ways)
ROWS = [
    ("vkcube", 1, cube(), {}, WAYS),
    ("vkcube, 1920x1080", 1, cube(1920, 1080), {}, WAYS),
    ("glmark2 build, Zink", 1, glmark2("build"), ZINK, WAYS),
    ("glmark2 texture, Zink", 1, glmark2("texture"), ZINK, WAYS),
    ("glmark2 build, Zink, 1920x1080", 1, glmark2("build", "1920x1080"), ZINK, WAYS),
    ("glmark2 build, VirGL", 1, glmark2("build"), {}, ("direct", "causeway")),
    ("glmark2 texture, VirGL", 1, glmark2("texture"), {}, ("direct", "causeway")),
    ("four vkcubes together", 4, cube(), {}, WAYS),
    ("four vkcubes together, 1920x1080", 4, cube(1920, 1080), {}, WAYS),
]


def children_of(pid):
    """A process and all below it; what has ended meanwhile is left out."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += children_of(int(child))
    return found


def seconds_of(pids):
    """CPU time so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / bench.TICKS


class Program:
    """A measured one, running."""

    def __init__(self, process):
        self.process = process
        process.expect("ready")

    def look(self):
        """(frames, time, CPU time) so far."""
        self.process.popen.send_signal(signal.SIGUSR1)
        said = self.process.expect(r"commits (\d+) at (\S+) cpu (\S+)")
        return int(said[1]), float(said[2]), float(said[3])


class GpuBench:
    """The machine, weston and virgl_test_server."""

    def __init__(self, build):
        os.environ["CAUSEWAY_BUILD"] = self.build = build
        lab.DEADLINE = 90
        self.still = f"{build}/{STILL}"
        self.rigs = []
        self.machine = None
        try:
            self.host = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
            self.rigs.append(self.host)
            self.weston = pixels.Weston(self.host, size=(1920, 1080), renderer="gl",
                                        args=["--refresh-rate=1000000"])
            self.start_vtest()
            self.container = self.host.bridge(self.weston, host_args=["--gpu", "none"])
            self.machine = vmrig.Machine(gpu="venus,virgl", build=build)
            self.guest = vmrig.VmRig(self.machine)
            self.rigs.append(self.guest)
            self.machine.connect(self.host.dir / self.weston.display)
            self.bridge = self.start_bridge()
        except BaseException:
            self.stop()
            raise

    def start_vtest(self):
        path = self.host.dir / "vtest"
        self.vtest = self.host.start(
            ["virgl_test_server", "--venus", "--no-virgl", "--multi-clients", "--socket-path", str(path)],
            lab.with_dmabufs(self.host.env))
        lab.wait_until(path.exists, "virgl_test_server's socket")

    def start_bridge(self):
        """VmRig's, for a compositor of another rig."""
        link = self.guest.dir / self.weston.display
        link.symlink_to(self.host.dir / self.weston.display)
        return self.guest.bridge(self.weston)

    def start(self, way, argv, env):
        """One program, with its first frames through."""
        env = dict(env, STILL_READY=str(READY), VK_LOADER_LAYERS_DISABLE="*")
        env.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
        if way == "causeway":
            if "MESA_LOADER_DRIVER_OVERRIDE" not in env:
                del env["LIBGL_ALWAYS_SOFTWARE"]  # VirGL is hardware
            env.update(LD_PRELOAD=self.still, VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json")
            env = dict(self.guest.env, WAYLAND_DISPLAY=self.bridge.display, **env)
            return self.guest.start(argv, env)
        env = lab.with_dmabufs(dict(self.host.env, **env))
        env["LD_PRELOAD"] += f":{self.still}"
        if way != "direct":
            env.update(VTEST_SOCKET_NAME=str(self.host.dir / "vtest"), VN_DEBUG="vtest",
                       VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json")
        display = self.container.display if way == "container" else self.weston.display
        return self.host.start(argv, dict(env, WAYLAND_DISPLAY=display))

    def bridge_of(self, way):
        """(causeway-guest, causeway-host) of a way, whose CPU time and counters count; else none."""
        return {"container": (self.container.guest, self.container.host),
                "causeway": (self.bridge.guest, self.machine.host)}.get(way, (None, None))

    def cpu(self, way):
        """CPU time so far, by part."""
        guest_end, host_end = self.bridge_of(way)
        qemu = self.machine.vm.qemu.pid
        workers = children_of(host_end.pid)[1:] if way == "causeway" else children_of(self.vtest.pid)
        parts = {"GPU processes": seconds_of(workers) if way != "direct" else 0,
                 "weston": seconds_of(children_of(self.weston.process.pid)),
                 "causeway-host": seconds_of([host_end.pid]) if host_end else 0,
                 # In a machine it is part of the virtual CPUs.
                 "causeway-guest": seconds_of([guest_end.pid]) if way == "container" else 0,
                 "virtual CPUs": 0, "QEMU's devices": 0}
        if way == "causeway":
            for stat in pathlib.Path(f"/proc/{qemu}/task").glob("*/stat"):
                text = stat.read_text()
                fields = text.rsplit(")", 1)[1].split()
                part = "virtual CPUs" if "(CPU " in text else "QEMU's devices"
                parts[part] += (int(fields[11]) + int(fields[12])) / bench.TICKS
        return parts

    def copied_bytes(self, way):
        """By causeway-host and causeway-guest; SIGUSR1 makes them say. NaN without them."""
        total = 0
        if self.bridge_of(way)[0] is None:
            return math.nan
        for process in self.bridge_of(way):
            def said(process=process):
                return re.findall(r"copied_bytes=(\d+)", "\n".join(process.errors))
            before = len(said())
            process.popen.send_signal(signal.SIGUSR1)
            total += int(lab.wait_until(lambda: said()[before:], "counters after SIGUSR1")[-1])
        return total

    def measure(self, way, row, seconds):
        """{"frames/s": ..., part: CPU ms a frame, "copied": KiB a frame}."""
        _name, n, argv, env, _ways = row
        processes = []
        try:
            processes = [self.start(way, argv, env) for _ in range(n)]
            programs = [Program(process) for process in processes]
            cpu, copied = self.cpu(way), self.copied_bytes(way)
            first = [program.look() for program in programs]
            time.sleep(seconds)  # it is what is measured
            last = [program.look() for program in programs]
            after = self.cpu(way)
            copied = self.copied_bytes(way) - copied
        finally:
            for process in processes:
                process.kill()
        frames = sum(b[0] - a[0] for a, b in zip(first, last))
        if frames <= 0:
            raise bench.Failed("no frame")
        made = {"frames/s": sum((b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(first, last)),
                "program": sum(b[2] - a[2] for a, b in zip(first, last)) * 1000 / frames,
                "copied": copied / 1024 / frames}
        made.update({part: (after[part] - cpu[part]) * 1000 / frames for part in cpu})
        return made

    def stop(self):
        """First the guest's programs, then the machine, then the host's."""
        with contextlib.redirect_stdout(None):
            for rig in reversed(self.rigs[1:]):
                with contextlib.suppress(guest.GuestError, AssertionError):
                    rig.finish()
            if self.machine:
                self.machine.finish()
            with contextlib.suppress(AssertionError):
                self.rigs[0].finish()


def note(values, row, way, made):
    """made: see GpuBench.measure(); None: it failed."""
    def add(name, value):
        values.setdefault((name, way), []).append(value)
    add(row[0], made["frames/s"] if made else math.nan)
    if made and row[1] == 1:
        for part in CPU_PARTS:
            if made[part] > 0:
                add(f"{row[0]}: CPU per frame, {part}", made[part])
        if not math.isnan(made["copied"]):
            add(f"{row[0]}: copied per frame", made["copied"])


def measure_all(machine, rows, args, values):
    for repetition in range(args.repetitions):
        for row in rows:
            for way in (way for way in WAYS if way in row[4] and way in args.ways.split(",")):
                made = None
                try:
                    made = machine.measure(way, row, max(0.2, SECONDS * args.scale))
                except (bench.Failed, guest.GuestError, AssertionError) as error:
                    print(f"{row[0]}, {way}: {error}", file=sys.stderr)
                note(values, row, way, made)
        print(f"repetition {repetition + 1} of {args.repetitions} done", file=sys.stderr)


def units_of(values):
    """By name, frames first."""
    names = dict.fromkeys(name for name, _way in values)
    first = [name for name in names if ":" not in name]
    return {name: "frames/s" if name in first else "KiB" if "copied" in name else "ms"
            for name in [*first, *(name for name in names if name not in first)]}


def print_result(machine, values, ways):
    accel = "KVM" if boot.kvm_works(machine.build) else \
        "TCG: QEMU translates each of the guest's instructions"
    print(f"Guest: Linux {machine.machine.vm.release}, 2 virtual CPUs, under {accel}.\nHost: "
          f"{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} at the end (ours included).\n")
    bench.print_table(values, units_of(values), ways)
    for name in (row[0] for row in ROWS):
        for way, what in (("container", "without the bridge"),
                          ("causeway", "without machine and bridge")):
            ratio = bench.ratio(values, name, way, "vtest")
            if not math.isnan(ratio):
                print(f"\n{name}: {ratio:.2f} of Venus {what}.", end="")
    print()


def skip(reason, junit):
    """Without a machine or its GPU there is nothing to measure; that is no failure."""
    print(f"gpu_bench: skipped: {reason}", file=sys.stderr)
    if junit:
        pathlib.Path(junit).write_text(
            "<testsuite><testcase classname='gpu_bench' name='gpu_bench'><skipped message="
            f"{bench.quoteattr(reason)}/></testcase></testsuite>\n")
    return 0


def missing(build):
    """What is not here, or None."""
    try:
        boot.requirements()
    except boot.Missing as error:
        return f"no virtual machine: {error}"
    for program in ("vkcube", "glmark2-es2-wayland", "virgl_test_server", "weston"):
        if not shutil.which(program):
            return f"{program} is missing"
    worker = pathlib.Path(build) / "host-renderer/worker/causeway-gpu-worker"
    return None if worker.exists() else f"{worker} is missing: build with libvirglrenderer"


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build directory (default: build)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1,
                        help=f"times {SECONDS} s for each value (0.02: only to see that it runs)")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--junit", help="also write a junit XML file: a test per measurement and way")
    return parser.parse_args()


def main():
    args = parse()
    build = os.path.abspath(args.build)
    reason = missing(build)
    if reason:
        return skip(reason, args.junit)
    rows = [row for row in ROWS if args.rows in row[0]]
    machine, values, failed = None, {}, False
    try:
        machine = GpuBench(build)
        measure_all(machine, rows, args, values)
    except (bench.Failed, guest.GuestError, AssertionError, OSError) as error:
        # What was measured before is still worth something.
        print(f"gpu_bench: {error}", file=sys.stderr)
        failed = True
    finally:
        if values:
            print_result(machine, values, [way for way in WAYS if way in args.ways.split(",")])
        if machine:
            machine.stop()
    if args.junit:
        bench.write_junit(values, args.junit)
    return int(failed or any(math.isnan(value) for got in values.values() for value in got))


if __name__ == "__main__":
    sys.exit(main())
