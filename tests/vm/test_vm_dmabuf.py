# SPDX-License-Identifier: MIT
"""linux-dmabuf from the guest: memory of the virtio-gpu, which the host has, and of other devices."""
import io

import pytest
from PIL import Image

import guest
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


def name(rig, kind):
    """Of a socket in the guest, which outlives the rig."""
    rig.machine.number += 1
    return f"{kind}-{rig.machine.number}"


class GuestWeston(pixels.Weston):
    """weston in the guest, whose kernel has real dma-bufs: the host's side can be tested there."""

    def __init__(self, rig):
        self.rig, self.size, self.display = rig, pixels.SIZE, name(rig, "weston")
        self.shots = f"/run/user/0/{self.display}-shots"
        rig.displays.add(self.display)
        rig.vm.shell(f"mkdir {self.shots}")
        self.process = rig.start_in_guest(
            ["weston", "--backend=headless", "--renderer=pixman", "--shell=kiosk", "--debug",
             "--no-config", "--idle-time=0", f"--socket={self.display}",
             f"--width={self.size[0]}", f"--height={self.size[1]}"], rig.env)
        lab.wait_until(lambda: self._ready() and "wl_output" in
                       pixels.globals_text(rig, self.display), "weston's output")

    def _ready(self):
        assert self.process.running(), self.process.errors[-10:]
        return self.rig.vm.shell(f"test -S /run/user/0/{self.display} && echo yes || true")

    def screenshot(self):
        env = dict(guest.ENV, WAYLAND_DISPLAY=self.display)
        self.rig.vm.run(["sh", "-c", "rm -f *.png; exec weston-screenshooter"], env=env,
                        cwd=self.shots, check=True)
        shot, = self.rig.vm.ask("list", path=self.shots)
        with Image.open(io.BytesIO(self.rig.vm.read(f"{self.shots}/{shot}"))) as image:
            return image.width, image.height, image.convert("RGB").tobytes()


@pytest.mark.parametrize("present", ["auto", "shm"])
@pytest.mark.parametrize("request_name", ["create", "immed"])
def test_read_back(rig, wanted, present, request_name):
    """Both programs in the guest, over a socket: dma-bufs reach causeway-host as they are, and weston
    without a GPU can't import them. What has changed is copied, by the host alone."""
    compositor = GuestWeston(rig)
    sock = f"/run/user/0/{name(rig, 'host')}.sock"
    display = name(rig, "guest")
    rig.displays.add(display)
    host = rig.start_in_guest(
        [lab.program("causeway-host"), "--socket", sock, "--gpu", "none", "--present", present,
         "--app-id-prefix", "", "--title-mark", ""],
        dict(rig.env, WAYLAND_DISPLAY=compositor.display))
    host.expect_error("ready for guest")
    proxy = rig.start_in_guest([lab.program("causeway-guest"), "--transport", f"socket:{sock}",
                                "--socket", display], rig.env)
    proxy.expect_error("listening on")
    process = pixels.start_client(rig, client("udmabuf", request_name, "3", *SHAPE), display)
    pixels.wait_same(compositor, process, wanted, f"vm-read-back-{request_name}")
    whole, part = 333 * 217 * 4, 100 * 50 * 4
    assert test_copies.stats(host)["copied_bytes"] == 2 * whole + 3 * part
    assert test_copies.stats(host)["dmabuf_frames"] == 0
    assert test_copies.stats(proxy)["copied_bytes"] == 0
    process.stop()
