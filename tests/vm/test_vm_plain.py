# SPDX-License-Identifier: MIT
"""The guest with a host as crosvm's, which plain_host.c plays: real programs, and no rule broken."""
import pytest

import pixels
import rig as lab
import test_vm_pixels
import test_vm_times
import timed
import vmrig

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def plain_machine():
    made = vmrig.Machine(program=str(lab.build_dir() / "tests/vm/plain-host"))
    yield made
    made.finish()


@pytest.fixture
def rig(plain_machine):
    made = vmrig.VmRig(plain_machine)
    yield made
    made.finish()
    broken = [line for line in plain_machine.host.errors if "RULE" in line]
    assert not broken, broken


@pytest.mark.parametrize("name", ["weston-simple-damage", "foot", "gtk4-demo", "shm-paint-scaled"])
def test_pictures(rig, name):
    test_vm_pixels.check(rig, name)


def test_clipboard(rig):
    test_vm_pixels.test_wl_clipboard(rig)


def test_times(rig):
    """It can't be asked for its clock: a time is an estimate, but no other machine's."""
    compositor = timed.Compositor(rig)
    found = test_vm_times.Presenter(rig, rig.bridge(compositor), compositor).frames(3)
    for _, told, before, after in found:
        assert before <= told <= after, found
    compositor.close()


def test_globals(rig):
    """A second program, while the first one's window is there."""
    compositor = pixels.COMPOSITORS["weston"](rig)
    bridge = rig.bridge(compositor)
    for _ in range(3):
        done = rig.run(["wayland-info"], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
        assert done.returncode == 0 and "wl_compositor" in done.stdout, done.stderr
