# SPDX-License-Identifier: MIT
"""Compositors, a virtual machine, and the ways between its guest and them, for vm_bench.py."""
import contextlib
import os
import pathlib
import re
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vm"), str(HERE.parent / "integration")]

import bench  # noqa: E402
import guest  # noqa: E402
import rig as lab  # noqa: E402
import vmrig  # noqa: E402

WAYPIPES = {"waypipe": [], "waypipe-none": ["--compress", "none"]}
WAYS = ["in-guest", "causeway", *WAYPIPES]
GUEST_TICKS = 100  # USER_HZ: the same on every x86 Linux
VSOCK_PORT = 5600


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


class Ways:
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
