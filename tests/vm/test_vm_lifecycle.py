# SPDX-License-Identifier: MIT
"""Ends and new starts of everything in a virtual machine, and of its device: windows come back or end
cleanly, and QEMU never aborts."""
import re
import signal

import pytest

import pixels
import rig as lab
import test_vm_pixels
import vmrig

pytestmark = pytest.mark.timeout(240)
SIZE = (640, 480)


def works(rig, bridge, sway, name="after"):
    """A program in the guest shows what it paints."""
    client = rig.probe(bridge.display, name, "c08040", window=True)
    client.ask("color c08040", "painted c08040")
    sway.wait_colors({name: "c08040"})
    client.send("quit")
    assert client.wait() == 0
    lab.wait_until(lambda: name not in sway.windows(), f"the window {name} to go")


def painted(rig, bridge, sway, name="before", color="2060a0"):
    client = rig.probe(bridge.display, name, color, window=True)
    client.ask(f"color {color}", f"painted {color}")
    sway.wait_colors({name: color})
    return client


def host_fds(machine):
    return vmrig.settle(lambda: lab.counts(machine.host)[0])


def blobs(vm, *args):
    """Make and map host memory so often; returns what the program says."""
    path = lab.build_dir() / "tests/vm/clients/blobs"
    return vm.run([path, *map(str, args)], check=True, deadline=120).stdout


# The guest

def test_client_killed_with_its_pool_mapped(rig):
    """Of two clients of one proxy; the other goes on, and the device forgets the memory."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    other = painted(rig, bridge, sway, "other")
    fds = host_fds(rig.machine)
    for _ in range(3):
        victim = painted(rig, bridge, sway, "victim", "a02020")
        victim.popen.send_signal(signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL
        lab.wait_until(lambda: set(sway.windows()) == {"other"}, "the victim's window to go")
        other.ask("color 20a040", "painted 20a040")
        sway.wait_colors({"other": "20a040"})
    lab.wait_until(lambda: lab.counts(rig.machine.host)[0] <= fds,
                   lambda: f"the host's fds to return to {fds}")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_proxy_restarts(rig, how):
    sway = rig.sway(size=SIZE)
    works(rig, stopped := rig.bridge(sway), sway)
    stopped.guest.stop()
    fds = host_fds(rig.machine)
    for turn in range(2):
        bridge = rig.bridge(sway)
        clients = [painted(rig, bridge, sway, f"client{i}") for i in range(2)]
        bridge.guest.popen.send_signal(how)
        assert bridge.guest.wait() == (0 if how == signal.SIGTERM else -how)
        for client in clients:
            client.expect(r"closed .*")
            assert client.wait() == 3
        lab.wait_until(lambda: not sway.windows(), "the windows to go")
    works(rig, rig.bridge(sway), sway)
    for process in rig.started:
        if process.name == "causeway-guest":
            process.stop()
    lab.wait_until(lambda: lab.counts(rig.machine.host)[0] <= fds,
                   lambda: f"the host's fds to return to {fds}")


def test_compositor_restarts(rig):
    """Programs that run get the new one, and so do new programs."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    client = painted(rig, bridge, sway)
    client.mark()
    sway.process.popen.send_signal(signal.SIGKILL)
    sway.process.wait()
    again = rig.sway(size=SIZE)
    rig.machine.connect(rig.dir / again.display)
    client.expect(r"resized .*|mapped .*|painted .*|selection .*")
    client.ask("color 2080e0", "painted 2080e0")
    client.send("quit")
    assert client.wait() == 0
    works(rig, bridge, again)


def test_fifty_clients(rig):
    """At once, each with a window of its own colour; all are seen, and all can leave."""
    count = 50
    sway = rig.sway(size=SIZE, config="workspace_layout tabbed")
    bridge = rig.bridge(sway)
    pixels.globals_text(rig, bridge.display)
    fds = [vmrig.settle(lambda p=p: vmrig.counts(p)[0]) for p in bridge.processes()]
    colors = {f"client{i}": f"{5 * i:02x}80{255 - 5 * i:02x}" for i in range(count)}
    env = dict(rig.env, WAYLAND_DISPLAY=bridge.display)
    clients = {name: rig.start([lab.program("probe"), name, color], env)
               for name, color in colors.items()}
    for client in clients.values():
        client.expect("ready")
        client.send("window")
    for name, client in clients.items():
        client.expect(r"mapped \d+ \d+")
        client.send(f"color {colors[name]}")
    lab.wait_until(lambda: set(sway.windows()) == set(colors), "all windows")
    for name, color in colors.items():
        sway.run(f'[title="^{name}$"] focus')
        sway.wait_colors({name: color})
    for client in clients.values():
        client.send("quit")
    for client in clients.values():
        assert client.wait() == 0
    lab.wait_until(lambda: not sway.windows(), "the windows to go")
    for program, most in zip(bridge.processes(), fds):
        lab.wait_until(lambda p=program, m=most: vmrig.counts(p)[0] <= m,
                       lambda p=program, m=most: f"{p.name}'s fds to return to {m}")


def test_many_pools(rig):
    """Every frame in a pool of its own: memory of the window is given back and used again."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    client = painted(rig, bridge, sway)
    fds = [lab.counts(rig.machine.host)[0], vmrig.counts(bridge.guest)[0]]
    with vmrig.Commands(rig.vm) as commands:
        for turn in range(200):
            color = f"{turn:02x}{255 - turn:02x}40"
            client.ask(f"color {color}", f"painted {color}")
    mapped, unmapped = (commands.counts[kind] for kind in (vmrig.MAP_BLOB, vmrig.UNMAP_BLOB))
    assert 0 < mapped <= 200 and abs(mapped - unmapped) <= 10, commands.counts
    assert not commands.counts[vmrig.TRANSFER_TO_HOST_3D], "the host does not see the memory itself"
    sway.wait_colors({"before": color})
    lab.wait_until(lambda: lab.counts(rig.machine.host)[0] <= fds[0] + 2 and
                   vmrig.counts(bridge.guest)[0] <= fds[1] + 2,
                   lambda: f"the fds to return to {fds}")


def test_thousand_blobs(machine):
    """Host memory mapped in the guest a thousand times; each time it is new to its user."""
    before = host_fds(machine)
    assert re.fullmatch(r"blobs 1000 65536\n", blobs(machine.vm, 1000))
    assert re.fullmatch(r"blobs 40 33554432\n", blobs(machine.vm, 40, 4096, 2048))
    lab.wait_until(lambda: lab.counts(machine.host)[0] <= before,
                   lambda: f"the host's fds to return to {before}")
    machine.alive()


def test_driver_reloads(rig):
    """Three times; between them the same device serves a new driver."""
    sway = rig.sway(size=SIZE)
    for turn in range(3):
        bridge = rig.bridge(sway)
        works(rig, bridge, sway, f"turn{turn}")
        bridge.guest.stop()
        rig.vm.run(["modprobe", "-r", "virtio-gpu"], check=True)
        assert "renderD128" not in rig.vm.shell("ls /dev/dri 2>/dev/null || true")
        rig.machine.alive()
        rig.machine.load_driver()
    works(rig, rig.bridge(sway), sway)


def test_guest_reboots(rig):
    """With windows open and memory mapped: they end, and come back in the same QEMU."""
    sway = rig.sway(size=SIZE)
    for turn in range(2):
        bridge = rig.bridge(sway)
        client = painted(rig, bridge, sway)
        pid = rig.vm.qemu.pid
        rig.vm.reboot()
        assert rig.vm.qemu.pid == pid and client.popen.lost
        # A VMM stops the device to reset it as it does to pause it; the new driver's start tells.
        rig.machine.load_driver()
        lab.wait_until(lambda: not sway.windows(), "the windows of before to go")
    works(rig, rig.bridge(sway), sway)
    blobs(rig.vm, 10)


def test_machine_is_paused(rig):
    """To the device a pause is a stop; but what is behind it stays, and goes on."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    client = painted(rig, bridge, sway)
    shown = "2060a0"
    for color in ("a0a020", "20a0a0", "a020a0"):
        rig.vm.qmp("stop")
        assert sway.colors() == {"before": shown}
        rig.vm.qmp("cont")
        client.ask(f"color {color}", f"painted {color}")
        sway.wait_colors({"before": color})
        shown = color
    works(rig, bridge, sway)


# The device's process

def test_host_is_killed(new_machine):
    """Without its device's process the machine goes on, without windows; QEMU can't get a new one.

    The guest is not told: what it sends is never answered. It can be shut down in order, but loading
    the driver again, and a reboot, would end QEMU.
    """
    machine = new_machine()
    rig = vmrig.VmRig(machine)
    try:
        sway = rig.sway(size=SIZE)
        bridge = rig.bridge(sway)
        painted(rig, bridge, sway)
        machine.host.popen.send_signal(signal.SIGKILL)
        assert machine.host.wait() == -signal.SIGKILL
        lab.wait_until(lambda: not sway.windows(), "the window to go")
        assert machine.vm.running(), machine.vm.report()
        assert machine.vm.shell("cat /proc/sys/kernel/ostype").strip() == "Linux"
        # The proxy can be stopped, though its device does not answer.
        bridge.guest.popen.send_signal(signal.SIGTERM)
        bridge.guest.wait()
        assert machine.vm.power_off() == 0, machine.vm.report()
    finally:
        lab.Rig.finish(rig)


def test_host_is_stopped(new_machine):
    """The same in order, by a signal: status 0."""
    machine = new_machine()
    machine.host.popen.send_signal(signal.SIGTERM)
    assert machine.host.wait() == 0
    assert machine.vm.running() and machine.vm.shell("echo up") == "up\n"


def test_without_a_window(new_machine):
    """A VMM that has no place for host memory: pools are the guest's pages, and look the same.

    So much memory has a hole in its middle: its pages come in several regions.
    """
    machine = new_machine(["--window-size", "0"], memory="4G")
    assert "Host memory window" not in machine.vm.dmesg()

    def show_colour(rig):
        sway = rig.sway(size=SIZE)
        works(rig, rig.bridge(sway), sway)
    parts = (show_colour, lambda rig: test_vm_pixels.check(rig, "shm-paint-damage"),
             lambda rig: test_vm_pixels.check(rig, "weston-transformed"))
    with vmrig.Commands(machine.vm) as commands:
        for part in parts:
            # The host's link to a compositor ends with the compositor.
            rig = vmrig.VmRig(machine)
            try:
                part(rig)
            finally:
                rig.finish()
    assert commands.counts[vmrig.TRANSFER_TO_HOST_3D] > 7 and not commands.counts[vmrig.MAP_BLOB]


def test_small_window(new_machine):
    """More memory than the window has room for: what is too much goes the other way."""
    machine = new_machine(["--window-size", "4"])
    rig = vmrig.VmRig(machine)
    try:
        sway = rig.sway(size=(1280, 720), config="workspace_layout tabbed")
        bridge = rig.bridge(sway)
        with vmrig.Commands(machine.vm) as commands:
            # 3.6 MB each
            clients = {f"{0x20 * i:02x}60a0": painted(rig, bridge, sway, f"client{i}",
                                                       f"{0x20 * i:02x}60a0") for i in range(4)}
            for number, client in enumerate(clients.values()):
                sway.focus(client, f"client{number}")
                client.ask(f"color a0{0x20 * number:02x}40", f"painted a0{0x20 * number:02x}40")
                sway.wait_colors({f"client{number}": f"a0{0x20 * number:02x}40"})
        assert commands.counts[vmrig.MAP_BLOB] and commands.counts[vmrig.TRANSFER_TO_HOST_3D]
        for client in clients.values():
            client.send("quit")
            assert client.wait() == 0
        lab.wait_until(lambda: not sway.windows(), "the windows to go")
        # There is room again.
        with vmrig.Commands(machine.vm) as commands:
            works(rig, bridge, sway)
        assert commands.counts[vmrig.MAP_BLOB]
        assert not commands.counts[vmrig.TRANSFER_TO_HOST_3D], commands.counts
    finally:
        rig.finish()
