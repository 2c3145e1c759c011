# SPDX-License-Identifier: MIT
"""Explicit synchronisation of guest programs, whose host has none of it (weston on pixman)."""
import pytest

import pixels
import rig as lab

pytestmark = pytest.mark.timeout(240)

RED, GREEN = (255, 0, 0), (0, 255, 0)


def start(rig, bridge, how):
    return pixels.start_client(rig, pixels.Client("timelines", [
        str(lab.build_dir() / "tests/vm/clients/timelines"), how]), bridge.display)


def colours(compositor):
    """That cover something of the screen."""
    picture = pixels.image(compositor.screenshot()).convert("RGB")
    return {colour for _, colour in picture.getcolors(1 << 20)} & {RED, GREEN}


def wait_colours(compositor, wanted):
    lab.wait_until(lambda: colours(compositor) == wanted, f"{wanted} on the screen")


def test_late(rig):
    """A frame is not shown before its point is signalled; the one before it is released then."""
    compositor = pixels.Weston(rig)
    bridge = rig.bridge(compositor)
    process = start(rig, bridge, "late")
    process.expect("red")
    wait_colours(compositor, {RED})
    process.send("go on")
    process.expect("committed")
    pixels.globals_text(rig, bridge.display)  # the proxy has had its turn
    assert colours(compositor) == {RED}
    process.send("signal")
    process.expect("signalled")
    wait_colours(compositor, {GREEN})
    process.expect("released")
    process.send("end")
    wait_colours(compositor, set())


def test_never(rig):
    """A program whose point is never signalled stands still, alone; and ends."""
    compositor = pixels.Weston(rig)
    bridge = rig.bridge(compositor)
    process = start(rig, bridge, "never")
    process.expect("red")
    wait_colours(compositor, {RED})
    process.send("go on")
    process.expect("committed")
    pixels.globals_text(rig, bridge.display)
    assert colours(compositor) == {RED}
    process.send("end")
    wait_colours(compositor, set())
    assert bridge.guest.running()


def test_errors(rig):
    """On the objects that the protocol says."""
    compositor = pixels.Weston(rig)
    bridge = rig.bridge(compositor)
    for how, error in (("shm", "wp_linux_drm_syncobj_surface_v1 2"),
                       ("no-acquire", "wp_linux_drm_syncobj_surface_v1 4"),
                       ("invalid", "wp_linux_drm_syncobj_manager_v1 1")):
        start(rig, bridge, how).expect(f"error {error}")
    assert bridge.guest.running()
