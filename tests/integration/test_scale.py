# SPDX-License-Identifier: MIT
"""On outputs of any scale a program looks through the bridge, in every byte, as it does by itself: nothing
on the way rounds, scales or blurs.

sway's headless outputs; the last case has two, of different scale, and moves the window between them.
"""
import functools
import tempfile

import pytest

import pixels
import rig as lab
from test_pixels import BY_NAME, paint

pytestmark = pytest.mark.timeout(180)

SCALES = ["1", "1.25", "1.5", "2"]
# Whole numbers at each scale.
SIZE = (1200, 900)
# foot draws for fractional scales, GTK and Qt too; weston's toolkit for whole ones; shm-paint for none, so that
# the compositor scales it.
NAMES = ["foot", "gtk4-text", "qt6-featherpad", "weston-clickdot", "shm-paint-plain", "shm-paint-scaled"]
CLIENTS = {name: BY_NAME[name] for name in NAMES}
CLIENTS["shm-paint-viewport"] = paint("viewport", "--size", "600x450", "--viewport", "400x300", "--damage",
                                      "1,2,300,200", frames=4)


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


def wait_background(sway, number):
    """It is drawn by a process of its own; at fractional scales it is no single colour."""
    seen = []

    def drawn():
        seen.append(look(sway, number))
        return any(seen[-1][2]) and seen[-3:] == [seen[-1]] * 3
    lab.wait_until(drawn, "sway's background")


def scaled_sway(rig, *scales):
    """sway with an output of each scale, once it has drawn them."""
    config = "".join(f"output HEADLESS-{n} resolution {SIZE[0]}x{SIZE[1]} scale {scale}\n"
                     f"workspace {n} output HEADLESS-{n}\n" for n, scale in enumerate(scales, 1))
    sway = lab.Sway(rig, size=SIZE, config=config, outputs=len(scales))
    for n in range(1, len(scales) + 1):
        wait_background(sway, n)
    sway.run("workspace 1")
    return sway


def look(sway, number=1):
    """The picture of an output, in its pixels."""
    return sway.screenshot(f"HEADLESS-{number}")


class Screen:
    """One output of sway, for pixels.settled() and wait_same()."""

    def __init__(self, sway, number=1):
        self.sway, self.number = sway, number

    def screenshot(self):
        return look(self.sway, self.number)


@functools.cache
def wanted(name, scale):
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    try:
        screen = Screen(scaled_sway(rig, scale))
        empty = screen.screenshot()
        process = pixels.start_client(rig, CLIENTS[name], screen.sway.display)
        return pixels.settled(screen, process, empty)
    finally:
        rig.finish()


@pytest.mark.parametrize("scale", SCALES)
def test_same_at_scale(rig, scale):
    """One client after the other on one compositor."""
    screen = Screen(scaled_sway(rig, scale))
    empty = screen.screenshot()
    bridge = rig.bridge(screen.sway)
    for name, client in CLIENTS.items():
        process = pixels.start_client(rig, client, bridge.display)
        pixels.wait_same(screen, process, wanted(name, scale), f"{name}-at-{scale}")
        process.stop()
        lab.wait_until(lambda: screen.screenshot() == empty, "the window to go")


def test_moves_between_scales(rig):
    """Each output shows it as a program that begins there, with the new scale's pixels."""
    sway = scaled_sway(rig, "1", "1.5")
    bridge = rig.bridge(sway)
    client = CLIENTS["foot"]
    process = pixels.start_client(rig, client, bridge.display)
    pixels.wait_same(Screen(sway, 1), process, wanted("foot", "1"), "foot-before-it-moves")
    sway.run("move container to workspace 2, workspace 2")
    pixels.wait_same(Screen(sway, 2), process, wanted("foot", "1.5"), "foot-after-it-moved")
    sway.run("move container to workspace 1, workspace 1")
    pixels.wait_same(Screen(sway, 1), process, wanted("foot", "1"), "foot-moved-back")
