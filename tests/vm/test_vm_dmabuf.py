# SPDX-License-Identifier: MIT
"""linux-dmabuf from the guest: memory of the virtio-gpu, which the host has, and of other devices."""

import pytest

import pixels
import rig as lab
import test_copies
import vmrig

pytestmark = pytest.mark.timeout(240)

SHAPE = ["--size", "333x217", "--damage", "31,17,100,50", "--frames", "5"]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The same picture through wl_shm, without a machine."""
    made = lab.Rig(tmp_path_factory.mktemp("cw"))
    try:
        return pixels.reference(made, pixels.Client(
            "shm-paint", [pixels.example("shm-paint"), *SHAPE], says="frame 5"))
    finally:
        made.finish()


def client(*args):
    return pixels.Client("dmabuf-paint", [lab.program("dmabuf-paint"), *args], says="frame 5")


def check(rig, wanted, memory, request, version="3"):
    compositor = pixels.Weston(rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor)
    pixels.globals_text(rig, bridge.display)  # what is made once is made now
    start = [vmrig.settle(lambda p=p: vmrig.counts(p)[0]) for p in bridge.processes()]
    copied = copies(bridge)
    process = pixels.start_client(rig, client(memory, request, version, *SHAPE), bridge.display)
    pixels.wait_same(compositor, process, wanted, f"vm-dmabuf-{memory}-{request}")
    copied = [now - then for now, then in zip(copies(bridge), copied)]
    process.stop()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    for program, most in zip(bridge.processes(), start):
        lab.wait_until(lambda p=program, m=most: vmrig.counts(p)[0] <= m,
                       lambda p=program, m=most: f"{p.name}'s fds to return to {m}")
    rig.machine.alive()
    return copied


def copies(bridge):
    return [test_copies.stats(process)["copied_bytes"] for process in bridge.processes()]


@pytest.mark.parametrize("request_name", ["create", "immed"])
def test_udmabuf(rig, wanted, request_name):
    """Another device's memory is copied, as wl_shm's is: what has changed."""
    guest, host = check(rig, wanted, "udmabuf", request_name)
    whole, part = 333 * 217 * 4, 100 * 50 * 4
    assert guest == 2 * whole + 3 * part and host == 0


@pytest.mark.parametrize("request_name", ["create", "immed"])
def test_virtgpu(rig, wanted, request_name):
    """The host has the memory: only its name crosses. Here it is a plain file, which a compositor without
    linux-dmabuf gets as wl_shm."""
    assert check(rig, wanted, "virtgpu", request_name) == [0, 0]


def test_pages(rig, wanted):
    """Pages of the guest in a resource of the virtio-gpu are not the host's: as another device's."""
    guest, host = check(rig, wanted, "pages", "immed")
    assert guest > 0 and host == 0


def test_feedback(rig):
    """Programs are told of the guest's GPU, whatever the host's is."""
    compositor = pixels.Weston(rig)
    bridge = rig.bridge(compositor)
    looker = pixels.Client("dmabuf-paint", [lab.program("dmabuf-paint"), "virtgpu", "look", "4"],
                           says="looked")
    lines = pixels.start_client(rig, looker, bridge.display).lines
    node = next(line for line in lines if line.startswith("node ")).split()[1]
    assert node.startswith("226:")
    assert lines[:2] == [f"main {node}", f"tranche {node}"]
    assert "row XR24 0" in lines
