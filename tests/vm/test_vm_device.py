# SPDX-License-Identifier: MIT
"""The device as Linux' own driver sees it, and the proxy on its render node."""
import re

import pytest

import pixels
import rig as lab
import test_globals as globals_there
import vmrig

pytestmark = pytest.mark.timeout(240)
FEATURES = {"virgl", "resource_blob", "host_visible", "context_init"}


def gpu_lines(vm):
    """What the kernel has said about the device since its driver was last loaded."""
    lines = [line for line in vm.dmesg().splitlines() if "[drm]" in line or "virtio_gpu" in line]
    starts = [i for i, line in enumerate(lines) if "virtio-gpu-pci detected" in line
              or "[drm] pci:" in line]
    return lines[starts[-1] if starts else 0:]


def test_driver_binds_without_displays(machine):
    lines = gpu_lines(machine.vm)
    text = "\n".join(lines)
    offered = set(re.findall(r"\+(\w+)", " ".join(l for l in lines if "features:" in l)))
    assert offered == FEATURES, text
    assert "KMS disabled" in text
    assert re.search(r"number of cap sets: 1\b", text), text
    assert re.search(r"cap set 0: id 5,", text), text
    assert re.search(r"Host memory window: 0x[0-9a-f]+ \+0x40000000", text), text
    assert "*ERROR*" not in text, text
    nodes = machine.vm.shell("ls /dev/dri").split()
    assert "renderD128" in nodes
    assert machine.vm.shell("ls /sys/class/drm").split().count("renderD128") == 1
    # A display would be a connector.
    assert not machine.vm.shell("ls -d /sys/class/drm/card*-* 2>/dev/null || true").strip()
    machine.alive()


def guest_check(vm):
    return vm.run([lab.program("causeway-guest"), "--transport", "virtgpu", "--check"])


def test_check(rig):
    """causeway-guest --check finds nothing missing, and says so by its status; without a compositor
    on the host it names that."""
    sway = rig.sway()
    rig.machine.connect(rig.dir / sway.display)
    done = guest_check(rig.vm)
    assert done.returncode == 0 and not re.search("^missing", done.stdout, re.M), done
    assert "ok" in done.stdout
    sway.process.stop()
    done = guest_check(rig.vm)
    assert done.returncode == 1 and re.search("^missing.*compositor", done.stdout, re.M | re.S), done


def test_check_without_a_device(machine):
    """No driver, no device: what is missing is named, and how to get it."""
    machine.vm.run(["modprobe", "-r", "virtio-gpu"], check=True)
    try:
        done = guest_check(machine.vm)
    finally:
        machine.load_driver()
    assert done.returncode == 1 and re.search("^missing", done.stdout, re.M), done


@pytest.mark.parametrize("name", ["weston", "sway"])
def test_globals(rig, name):
    """wayland-info in the guest says what it says on the host, but for what guests don't get."""
    compositor = pixels.Weston(rig) if name == "weston" else rig.sway()
    direct = globals_there.parse(pixels.globals_text(rig, compositor.display))
    bridge = rig.bridge(compositor)
    found = globals_there.parse(pixels.globals_text(rig, bridge.display))
    # sway connects guests through a security context, and hides something of its own from those.
    missing = {*globals_there.REFUSED, *globals_there.UNKNOWN,
               *(globals_there.HIDDEN_BY_SWAY if name == "sway" else ())}
    # Timelines end in causeway-guest, on this kernel.
    more = [("wp_linux_drm_syncobj_manager_v1", 1)]
    assert globals_there.without_own(found, direct, more) == [row for row in direct
                                                              if row[0] not in missing]
    assert len(found) > 10, "hardly a compositor"


def test_files_from_the_host(rig):
    """A keymap's bytes are the host's: memory that the guest may only read."""
    sway = rig.sway()
    device = rig.virtual_input(sway.display)
    device.ask("keyboard de", "ok")
    bridge = rig.bridge(sway)
    keymaps = []
    for display in (sway.display, bridge.display):
        client = rig.probe(display, "client", window=True)
        client.expect("focused")
        client.ask("sync", "synced")
        keymaps.append([line for line in client.lines if line.startswith("keymap ")][-1])
        client.send("quit")
        assert client.wait() == 0
    assert keymaps[0] == keymaps[1] and re.fullmatch(r"keymap 1 \d{4,} [0-9a-f]{64}", keymaps[0])


def test_two_proxies(rig):
    """Each has contexts of its own on the one device."""
    sway = rig.sway()
    wanted = {}
    clients = []
    for name, color in (("one", "ff4000"), ("two", "0040ff")):
        bridge = rig.bridge(sway)
        client = rig.probe(bridge.display, name, color, window=True)
        client.ask(f"color {color}", f"painted {color}")
        clients.append(client)
        wanted[name] = color
    sway.wait_colors(wanted)
    for client in clients:
        client.send("quit")
        assert client.wait() == 0
    rig.machine.alive()


def test_fences_and_memory_of_an_idle_proxy(rig):
    """A proxy that has nothing to do uses no time."""
    bridge = rig.bridge(rig.sway())
    client = rig.probe(bridge.display, "idle", window=True)
    client.ask("sync", "synced")
    vm = rig.vm

    def ticks():
        fields = vm.read(f"/proc/{bridge.guest.pid}/stat").decode().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = vmrig.settle(ticks)
    vm.run(["sleep", "1"])
    assert ticks() - before <= 5, "the proxy is busy though nothing happens"
