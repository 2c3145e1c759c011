# SPDX-License-Identifier: MIT
"""Native contexts without displays: a driver in the guest draws with the host's GPU in the host's own layout,
and the compositor gets that memory as it is.

The GPU is that of a test double of libvirglrenderer (tests/vm/vdrm), which the worker loads in place of the
system's.
"""
import functools
import os
import pathlib
import re
import signal

import pytest

import pixels
import rig as lab
import test_vm_gpu as gpu_tests
import vmrig

pytestmark = pytest.mark.timeout(240)

TILED = "7f00000000000001"
SIZE = (300, 200)
TABLE = 4096  # bytes of the format table, which is copied once: a page


def worker_on_double(**env):
    """For vmrig.Machine: a worker that loads the double."""
    double = lab.build_dir() / "tests/vm/vdrm"
    if not (double / "libvirglrenderer.so.1").exists():
        pytest.skip("built without libvirglrenderer")
    return functools.partial(lab.gpu_worker, LD_LIBRARY_PATH=str(double), **env)


@pytest.fixture(scope="module")
def vdrm_machine():
    made = vmrig.Machine(gpu="drm", worker=worker_on_double(), reboots=True)
    yield made
    made.finish()


@pytest.fixture
def rig(vdrm_machine):
    """A rig whose guest has native contexts."""
    made = vmrig.VmRig(vdrm_machine)
    yield made
    made.finish()


def picture(frame, size=SIZE):
    """What clients/vdrm.c shows."""
    width, height = size
    inner = (frame * 0x203010).to_bytes(3, "big")
    rows = []
    for y in range(height):
        row = bytearray(byte for x in range(width) for byte in (x & 255, y & 255, (x ^ y) & 255))
        if 16 <= y < 16 + height // 2:
            row[16 * 3:(16 + width // 2) * 3] = inner * (width // 2)
        rows.append(bytes(row))
    return width, height, b"".join(rows)


class Tiles:
    """The compositor that takes nothing but tiles; or rows, if layout says "linear"."""

    def __init__(self, rig, layout="tiled"):
        number = rig.number()
        self.display = f"tiles-{number}"
        self.folder = rig.dir / f"frames-{number}"
        self.folder.mkdir()
        self.process = rig.start([lab.program("tiles-compositor"), self.display,
                                  str(self.folder), layout])
        self.process.expect("listening")

    def screenshot(self):
        text = (self.folder / "frame.ppm").read_bytes()
        head = re.match(rb"P6 (\d+) (\d+) 255\n", text)
        return int(head[1]), int(head[2]), text[head.end():]


def workers(machine):
    """The pids of the device's GPU workers."""
    children = f"/proc/{machine.host.pid}/task/{machine.host.pid}/children"
    return [pid for pid in pathlib.Path(children).read_text().split()
            if name_of(pid).startswith("causeway-gpu")]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has just ended


def start(rig, bridge, size, frames=3, *more):
    client = pixels.Client("vdrm", [lab.program("vdrm"), *map(str, (*size, frames)), *more])
    process = pixels.start_client(rig, client, bridge.display)
    process.expect("capset 592")
    return process


def open_files(rig, bridge):
    """How many files the host and the proxy have open, once that stays the same: a resource of the GPU's
    is one, or more."""
    pixels.globals_text(rig, bridge.display)  # what is made once is made now
    return [vmrig.settle(lambda p=p: vmrig.counts(p)[0]) for p in bridge.processes()]


def end(rig, bridge, process, before):
    """The program ends, and with it all that it had."""
    process.send("")
    process.expect("end")
    assert process.wait() == 0
    check_end(rig, bridge, before)


def check_end(rig, bridge, before):
    """Nothing of an ended program is left; its context had a worker of its own."""
    lab.wait_until(lambda: not workers(rig.machine), "the end of the context's worker")
    for program, most in zip(bridge.processes(), before):
        lab.wait_until(lambda p=program, m=most: vmrig.counts(p)[0] <= m,
                       lambda p=program, m=most: f"{p.name}'s fds to return to {m}")
    assert "ERROR" not in rig.vm.shell("dmesg | grep virtio_gpu || true")
    rig.machine.alive()


def test_native_modifier(rig):
    """Tiles from the guest's CPU and the host's GPU, on a compositor that takes nothing else."""
    compositor = Tiles(rig)
    bridge = rig.bridge(compositor)
    files = open_files(rig, bridge)
    stats = gpu_tests.host_stats(rig.machine)
    process = start(rig, bridge, SIZE)
    process.expect(f"modifier {TILED}")
    process.expect("frame 3")
    compositor.process.expect(rf"frame 3 300x200 modifier {TILED}")
    assert compositor.screenshot() == picture(3)
    now = gpu_tests.host_stats(rig.machine)
    assert now["dmabuf_frames"] - stats["dmabuf_frames"] == 3
    assert now["copied_bytes"] - stats["copied_bytes"] == TABLE
    end(rig, bridge, process, files)
    compositor.process.expect("window gone")


def test_unfinished_frames(rig):
    """What is committed before the GPU has drawn it is not shown before that."""
    compositor = Tiles(rig)
    bridge = rig.bridge(compositor)
    files = open_files(rig, bridge)
    process = start(rig, bridge, SIZE, 3, "early")
    process.expect("frame 3")
    compositor.process.expect(rf"frame 3 300x200 modifier {TILED}")
    assert compositor.screenshot() == picture(3)
    end(rig, bridge, process, files)


@pytest.mark.parametrize("renderer", ["gl", "pixman"])
def test_weston(rig, renderer):
    """A compositor that does not know the GPU's modifier says so, and gets rows; one without dma-bufs gets
    them as well."""
    compositor = pixels.Weston(rig, renderer=renderer)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor)
    files = open_files(rig, bridge)
    process = start(rig, bridge, pixels.SIZE, frames=2)
    process.expect("modifier 0")
    process.expect("frame 2")
    pixels.wait_same(compositor, process, picture(2, pixels.SIZE), f"vm-vdrm-weston-{renderer}")
    end(rig, bridge, process, files)
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")


def test_two_contexts(rig):
    """Each has a worker of its own: the death of one is nothing to the other."""
    compositor = Tiles(rig)
    bridge = rig.bridge(compositor)
    files = open_files(rig, bridge)
    first = start(rig, bridge, SIZE, frames=1)
    first.expect("frame 1")
    before = workers(rig.machine)
    assert len(before) == 1
    second = start(rig, bridge, SIZE, frames=2)
    second.expect("frame 2")
    both = workers(rig.machine)
    assert len(both) == 2
    first.kill()
    lab.wait_until(lambda: len(workers(rig.machine)) == 1, "the end of one worker")
    assert set(workers(rig.machine)) == set(both) - set(before)
    end(rig, bridge, second, files)


def test_a_worker_is_killed(rig):
    """Its program loses its GPU; another program's lives, and so does the next."""
    compositor = Tiles(rig)
    bridge = rig.bridge(compositor)
    files = open_files(rig, bridge)
    first = start(rig, bridge, SIZE, frames=1)
    first.expect("frame 1")
    victim, = workers(rig.machine)
    second = start(rig, bridge, SIZE, frames=1)
    second.expect("frame 1")
    os.kill(int(victim), signal.SIGKILL)
    rig.machine.host.expect_error("gpu: the worker is gone.*signal 9")
    third = start(rig, bridge, SIZE, frames=2)
    third.expect("frame 2")
    for process in (second, third):
        process.send("")
        process.expect("end")
    first.kill()
    check_end(rig, bridge, files)


@pytest.mark.parametrize("what", ["private", "junk", "import", "wrong", "many"])
def test_odd(rig, what):
    done = rig.vm.run([lab.program("vdrm-odd"), what])
    assert (done.returncode, done.stdout) == (0, "good\n"), done
    lab.wait_until(lambda: not workers(rig.machine), "the end of the contexts' workers")
    rig.machine.alive()
