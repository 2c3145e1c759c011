# SPDX-License-Identifier: MIT
"""A program in the guest that lies to the host's GPU: nobody else's window is lost.

All the while a terminal shows what it paints, and a cube on Venus turns. A worker that crashes takes the GPU
of other programs along, and may do so only by a fault of virglrenderer or a driver: then new programs have a
GPU.
"""
import collections
import os
import pathlib
import re

import pytest

import rig as lab
import test_vm_gpu
import test_vm_hostile
import vmrig

pytestmark = pytest.mark.timeout(300)

SEED = 20
CLIENTS = "tests/vm/clients"


class Neighbours(test_vm_hostile.Neighbour):
    """A terminal, and a cube."""

    def __init__(self, rig):
        self.cube = None
        super().__init__(rig)
        self.start_cube()

    def start_cube(self):
        self.cube = test_vm_gpu.start_cube(self.rig, self.bridge)
        lab.wait_until(lambda: len(self.sway.windows()) == 2 or not self.cube.running(),
                       "the cube's window")
        assert self.cube.running(), self.cube.errors[-10:]
        self.see_cube_turn()

    def look(self):
        """The pixels of the cube's window."""
        width, _, data = self.sway.screenshot()
        rect, = (rect for name, rect in self.sway.windows().items() if name != "neighbour")
        return b"".join(data[(y * width + rect["x"]) * 3:(y * width + rect["x"] + rect["width"]) * 3]
                        for y in range(rect["y"], rect["y"] + rect["height"], 8))

    def see_cube_turn(self):
        before = self.look()
        lab.wait_until(lambda: not self.cube.running() or self.look() != before, "the cube to turn")
        assert self.cube.running(), self.cube.errors[-10:]

    def stop_cube(self):
        self.cube.kill()
        lab.wait_until(lambda: list(self.sway.windows()) == ["neighbour"], "the cube's window to go")


def worker_ends(machine):
    """What the host has said of workers that are gone."""
    return [line for line in machine.host.errors if "gpu: the worker is gone" in line]


def own_faults(machine):
    """A sanitizer's reports with our code on top of the stack."""
    text = "\n".join(machine.host.errors)
    tops = re.findall(r"Sanitizer.*(?:\n.*)*?\n\s*#\d+ \S+ in (?!__|mem|str)\S+ (\S+)", text)
    return [top for top in tops if re.search(r"host-renderer/|shared/", top)] + \
        re.findall(r".*(?:host-renderer|shared)/\S+: runtime error.*", text)


def open_files(process):
    """How many of each there are."""
    return collections.Counter(re.sub(r"\d+", "N", os.readlink(path)) for path in
                               pathlib.Path(f"/proc/{process.pid}/fd").iterdir())


@pytest.fixture(scope="module")
def gpu_machine():
    made = vmrig.Machine(gpu="venus,virgl", reboots=True)
    yield made
    made.finish()


@pytest.fixture(scope="module")
def gpu_rig(gpu_machine):
    made = vmrig.VmRig(gpu_machine)
    yield made
    made.finish()


@pytest.fixture(scope="module")
def everyone(gpu_rig):
    return Neighbours(gpu_rig)


@pytest.fixture
def neighbours(everyone):
    """That the host has nothing left over is part of it."""
    machine = everyone.rig.machine
    everyone.stop_cube()
    fds, memory = vmrig.settle(lambda: lab.counts(machine.host)[0]), lab.counts(machine.host)[1]
    ends = len(worker_ends(machine))
    everyone.start_cube()
    yield everyone
    everyone.check()
    machine.alive()
    assert not own_faults(machine), own_faults(machine)
    if len(worker_ends(machine)) > ends:
        print("virglrenderer has crashed, and a new worker has to do:", *worker_ends(machine)[ends:])
        everyone.stop_cube()
        everyone.start_cube()
    everyone.see_cube_turn()
    everyone.stop_cube()
    lab.wait_until(lambda: lab.counts(machine.host)[0] <= fds,
                   lambda: f"the host's fds to return to {fds}: {open_files(machine.host)}")
    most = test_vm_hostile.MOST_GROWTH_SANITIZED if lab.sanitized() else test_vm_hostile.MOST_GROWTH
    assert lab.counts(machine.host)[1] - memory < most, "the device's process has grown"
    everyone.start_cube()


def hostile(neighbours, *args):
    path = str(lab.build_dir() / CLIENTS / "hostile-gpu")
    return neighbours.rig.start_in_guest([path, *map(str, args)], {})


def no_crash(neighbours, ends):
    """The worker lives, and with it the cube that was there before."""
    assert worker_ends(neighbours.rig.machine) == ends, neighbours.rig.machine.host.errors[-30:]
    neighbours.see_cube_turn()


# Whether virglrenderer is to live through it: its parser of VirGL's commands runs in the worker.
MODES = [
    ("venus", "streams", 300, True),
    ("venus", "blobs", 6, True),
    ("venus", "rings", 20, True),
    ("venus", "images", 300, True),
    ("venus", "fences", 3, True),
    ("virgl2", "streams", 300, False),
    ("virgl2", "blobs", 6, True),
    ("virgl2", "images", 300, False),
    ("virgl2", "fences", 3, True),
]


@pytest.mark.parametrize("capset,mode,count,survives", MODES)
def test_nonsense(neighbours, capset, mode, count, survives):
    """Commands, blobs, rings in memory, images and fences as no driver has them."""
    ends = worker_ends(neighbours.rig.machine)
    program = hostile(neighbours, capset, mode, count, SEED)
    while program.running():
        neighbours.check()
    status = program.wait()
    if not survives and worker_ends(neighbours.rig.machine) != ends:
        return
    assert status == 0, (program.lines, program.errors)
    program.expect(f"done {mode} {count}")
    no_crash(neighbours, ends)


def test_no_native_contexts(neighbours):
    """Of a kind that the host does not offer."""
    program = hostile(neighbours, "drm", "streams")
    program.expect("refused")
    assert program.wait() == 0


@pytest.mark.parametrize("capset", ["venus", "virgl2"])
def test_many_resources(neighbours, capset):
    """The others go on, and what was refused to one program is there for the next."""
    ends = worker_ends(neighbours.rig.machine)
    program = hostile(neighbours, capset, "resources", 10000)
    program.expect("made 10000", 120)
    neighbours.check()
    no_crash(neighbours, ends)
    program.ask("on", "done resources 10000")
    assert program.wait() == 0
    no_crash(neighbours, ends)


def test_many_maps(neighbours):
    """Mapped all at once, and others' memory is mapped all the same."""
    ends = worker_ends(neighbours.rig.machine)
    program = hostile(neighbours, "venus", "maps", 1000)
    neighbours.stop_cube()
    neighbours.start_cube()
    program.expect("made 1000", 120)
    neighbours.stop_cube()
    neighbours.start_cube()
    program.ask("on", "done maps 1000")
    assert program.wait() == 0
    no_crash(neighbours, ends)


@pytest.mark.parametrize("capset", ["venus", "virgl2"])
def test_many_contexts(neighbours, capset):
    ends = worker_ends(neighbours.rig.machine)
    program = hostile(neighbours, capset, "contexts", 100)
    program.expect("made 100", 120)
    neighbours.check()
    program.ask("on", "done contexts 100")
    assert program.wait() == 0
    if capset == "venus":
        no_crash(neighbours, ends)


@pytest.mark.parametrize("capset", ["venus", "virgl2"])
def test_killed_in_the_midst(neighbours, capset):
    ends = worker_ends(neighbours.rig.machine)
    program = hostile(neighbours, capset, "all", 1 << 30, SEED)
    for _ in range(3):
        neighbours.check()
    program.kill()
    neighbours.check()
    if capset == "venus":
        no_crash(neighbours, ends)


@pytest.mark.parametrize("name,after,changed", [("vkcube", 3, 1),
                                                 ("weston-simple-egl", 10, 20)])
def test_mutated_programs(neighbours, name, after, changed):
    """A real driver's commands, with words changed."""
    ends = worker_ends(neighbours.rig.machine)
    for seed in range(4):
        env = dict(neighbours.rig.env, WAYLAND_DISPLAY=neighbours.bridge.display,
                   LD_PRELOAD=str(lab.build_dir() / CLIENTS / "mutate.so"), MUTATE_SEED=str(seed),
                   MUTATE_AFTER=str(after), **test_vm_gpu.NO_LAYERS)
        wsi = ["--wsi", "wayland", "--c", "30"] if name == "vkcube" else []
        if wsi:
            env["VK_DRIVER_FILES"] = f"{test_vm_gpu.ICDS}/virtio_icd.json"
        program = neighbours.rig.start_in_guest([name, *wsi], env)
        try:
            program.expect(f"mutated {changed}")
        except AssertionError:
            # An error is its own, and it may end of it.
            assert program.wait() != 0 and program.lines, (program.lines, program.errors)
        program.kill()
        neighbours.check()
    if name == "vkcube":
        no_crash(neighbours, ends)
