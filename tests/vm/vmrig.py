# SPDX-License-Identifier: MIT
"""The rig of the integration tests with the guest side in a virtual machine.

A Machine is QEMU with its causeway-host, which may outlive a test's compositor: it connects each guest
program to whatever a link names at that moment. A VmRig is a lab.Rig that starts programs for a guest's
display in the guest, so the integration tests' helpers work unchanged.
"""
import collections
import pathlib
import re
import tempfile

import boot
import guest
import rig as lab


class LaunchedHost:
    """The device's process of "causeway-host -- QEMU", which says what it says in QEMU's place."""
    name = "causeway-host"

    def __init__(self, vm):
        self.vm = vm
        self.popen = None
        children = pathlib.Path(f"/proc/{vm.qemu.pid}/task/{vm.qemu.pid}/children").read_text()
        self.pid, = (int(pid) for pid in children.split()
                     if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("causeway"))

    @property
    def errors(self):
        return (self.vm.folder / "qemu.log").read_text(errors="replace").splitlines()

    def running(self):
        return pathlib.Path(f"/proc/{self.pid}").exists()


class Machine:
    """A booted guest with our device. launched: causeway-host itself starts QEMU. program: another
    host in its place. gpu: the kinds of GPU work; worker: makes in a folder the program that does it.
    devices: arguments for further ones. Others: see boot.arguments()."""

    def __init__(self, host_args=(), launched=False, program=None, gpu="none", worker=lab.gpu_worker,
                 devices=(), **options):
        self.rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
        self.link = self.rig.dir / "compositor"
        self.vm = None
        self.number = 0
        env = {k: v for k, v in self.rig.env.items() if k != "WAYLAND_DISPLAY"}
        unmarked = [] if program else ["--app-id-prefix", "", "--title-mark", "", "--gpu", gpu]
        if gpu != "none":
            env["CAUSEWAY_GPU_WORKER"] = worker(self.rig.dir)
        command = [program or lab.program("causeway-host"), "--wayland-display", str(self.link),
                   *unmarked, *host_args]
        try:
            if launched:
                self.vm = guest.Guest(devices, starter=[*command, "--"], env=env, shared=False,
                                      **options)
                self.host = LaunchedHost(self.vm)
            else:
                path = str(self.rig.dir / "gpu.sock")
                self.host = self.rig.start([*command, "--vhost-user", path], env)
                lab.Bridge._wait_socket(path, self.host)
                self.vm = guest.Guest([*boot.gpu_arguments(path), *devices], **options)
        except BaseException:
            self.finish()
            raise
        self.load_driver()

    def load_driver(self):
        self.vm.run(["modprobe", "virtio-gpu"], check=True)

    def connect(self, path):
        """New guest programs get this compositor."""
        new = self.rig.dir / "compositor.new"
        new.symlink_to(path)
        new.rename(self.link)

    def alive(self):
        """QEMU and the device's process have to live through everything."""
        assert self.vm.running(), self.vm.report()
        assert self.host.running(), self.host.errors[-20:]

    def healthy(self):
        """Whether another test can use it."""
        if not self.vm.running() or not self.host.running():
            return False
        try:
            self.load_driver()
        except guest.GuestError:
            return False
        return True

    def finish(self):
        """First the guest: QEMU is not to see its device's process end."""
        if self.vm:
            print(self.vm.report())
            self.vm.finish()
        self.rig.finish()


TRACING = "/sys/kernel/tracing"
# <linux/virtio_gpu.h>
TRANSFER_TO_HOST_3D, MAP_BLOB, UNMAP_BLOB = 0x205, 0x208, 0x209


class Commands:
    """What the guest's kernel sends to the device while this is entered; counts by command."""

    def __init__(self, vm):
        self.vm = vm
        self.counts = collections.Counter()

    def __enter__(self):
        self.vm.shell(f"""
            mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}
            echo > {TRACING}/trace
            echo 1 > {TRACING}/events/virtio_gpu/virtio_gpu_cmd_queue/enable""")
        return self

    def __exit__(self, *_):
        text = self.vm.shell(f"""
            echo 0 > {TRACING}/events/virtio_gpu/virtio_gpu_cmd_queue/enable
            cat {TRACING}/trace""")
        self.counts.update(int(kind, 16) for kind in re.findall(r" type=0x([0-9a-f]+) ", text))


class VmBridge(lab.Bridge):
    """causeway-guest in the guest; the machine's causeway-host is at the other end."""

    def __init__(self, rig, compositor, guest_args=()):
        self.machine = rig.machine
        super().__init__(rig, compositor, guest_args, kind="causeway")

    def start_host(self):
        self.machine.number += 1
        self.display = f"guest-{self.machine.number}"
        self.machine.connect(self.rig.dir / self.compositor.display)
        self.host = self.machine.host

    def start_guest(self):
        argv = [lab.program("causeway-guest"), "--transport", "virtgpu", "--socket", self.display,
                *self.guest_args]
        self.guest = self.rig.start_in_guest(argv, self.rig.env)
        path = f"{guest.ENV['XDG_RUNTIME_DIR']}/{self.display}"
        lab.wait_until(lambda: self._listening(path), f"a socket at {path} in the guest")
        self.rig.displays.add(self.display)

    def _listening(self, path):
        assert self.guest.running(), f"{self.guest.argv} ended: {self.guest.errors[-10:]}"
        rows = self.machine.vm.read("/proc/net/unix").decode().splitlines()
        return path in {row.split()[-1] for row in rows if row.split()[3] == "00010000"}


class VmRig(lab.Rig):
    """One test's processes, in the guest and beside it."""

    def __init__(self, machine):
        super().__init__(tempfile.mkdtemp(prefix="cw-"))
        self.machine = machine
        self.vm = machine.vm
        self.displays = set()

    def _guest_env(self, env):
        return {k: v for k, v in {**env, **guest.ENV, "HOME": env.get("HOME", "/root")}.items()
                if not k.startswith("PYTEST") and (k != "WAYLAND_DISPLAY" or v in self.displays)}

    def start_in_guest(self, argv, env, cwd="/"):
        if cwd != "/":
            self.vm.ship(cwd)
        process = lab.Process(argv, popen=self.vm.popen(argv, self._guest_env(env), cwd))
        self.started.append(process)
        return process

    def start(self, argv, env=None, **kwargs):
        if env and env.get("WAYLAND_DISPLAY") in self.displays:
            return self.start_in_guest(argv, env, **kwargs)
        return super().start(argv, env, **kwargs)

    def run(self, argv, env):
        if env.get("WAYLAND_DISPLAY") in self.displays:
            return self.vm.run(argv, self._guest_env(env))
        return super().run(argv, env)

    def bridge(self, compositor, **kwargs):
        return VmBridge(self, compositor, **kwargs)

    def finish(self):
        try:
            super().finish()
        except guest.GuestError:
            # Of a guest that is gone; what the test itself says matters more.
            if self.vm.running():
                raise
        self.machine.alive()


def counts(process):
    """(open fds, anonymous memory in KiB) of a process, of the guest's or the host's."""
    vm = getattr(process.popen, "vm", None)
    if not vm:
        return lab.counts(process)
    status = vm.read(f"/proc/{process.pid}/status").decode()
    rss = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))
    return len(vm.ask("list", path=f"/proc/{process.pid}/fd")), int(rss)


def settle(read, alike=5):
    """A number once it is the same several times in a row: nothing announces that."""
    seen = []

    def look():
        seen.append(read())
        return len(seen) >= alike and len(set(seen[-alike:])) == 1
    lab.wait_until(look, lambda: f"a number to stay the same; it was {seen[-10:]}")
    return seen[-1]
