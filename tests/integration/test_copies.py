# SPDX-License-Identifier: MIT
"""What is copied on a pixel's way: with mirrored memory the damage, handed on nothing."""
import re
import signal
import tempfile

import pytest

import pixels
import rig as lab

from PIL import ImageChops

pytestmark = pytest.mark.timeout(90)

WIDTH, HEIGHT = 3840, 2160
FRAME = WIDTH * HEIGHT * 4
# Where the small damage is; the corner to corner case is as honest as the aligned one.
SPOTS = ["0,0,64,64", "1000,777,64,64", "3776,2096,64,64"]


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


def stats(process):
    """The counters that SIGUSR1 prints."""
    with process.changed:
        before = len(process.errors)
    process.popen.send_signal(signal.SIGUSR1)

    def line():
        with process.changed:
            return next((text for text in process.errors[before:] if " stats " in text), None)
    text = lab.wait_until(line, f"the counters of {process.name}")
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}


class Screen:
    """A 4K output, a bridge, and shm-paint with one frame on it."""

    def __init__(self, rig, guest_args, paint_args):
        self.weston = pixels.Weston(rig, size=(WIDTH, HEIGHT))
        self.empty = self.weston.screenshot()
        self.bridge = rig.bridge(self.weston, guest_args=guest_args)
        client = pixels.Client("shm-paint", [
            pixels.example("shm-paint"), "--size", f"{WIDTH}x{HEIGHT}", "--step", *paint_args],
            says="frame 1")
        self.client = pixels.start_client(rig, client, self.bridge.display)
        # It is on the screen, and not only on its way.
        self.last = lab.wait_until(self.changed_from(self.empty), "frame 1 on the screen")
        self.first = self.last
        self.frame = 1

    def changed_from(self, old):
        def look():
            picture = self.weston.screenshot()
            return picture != old and picture
        return look

    def next(self):
        """One frame more, shown; what the guest's and the host's program copied for it."""
        before = [stats(process)["copied_bytes"] for process in self.bridge.processes()]
        self.frame += 1
        self.client.ask("", f"frame {self.frame}")
        self.last = lab.wait_until(self.changed_from(self.last), f"frame {self.frame} to show")
        after = [stats(process)["copied_bytes"] for process in self.bridge.processes()]
        return tuple(now - then for now, then in zip(after, before))


@pytest.mark.parametrize("spot", SPOTS)
def test_mirrored_memory_copies_the_damage(rig, spot):
    screen = Screen(rig, ["--shm", "mirror"], ["--frames", "6", "--damage", spot])
    first = [stats(process)["copied_bytes"] for process in screen.bridge.processes()]
    assert first == [FRAME, 0], "a new buffer is copied once, and not by the host"
    # The client's other buffer, which the host has never seen.
    assert screen.next() == (FRAME, 0)
    for _ in range(4):
        copied, by_host = screen.next()
        assert 0 < copied <= 64 * 64 * 4, f"{copied} bytes for a damage of 64x64"
        assert by_host == 0
    # What was copied is what changed on the screen, no less.
    x, y, width, height = (int(part) for part in spot.split(","))
    shown = ImageChops.difference(pixels.image(screen.first), pixels.image(screen.last))
    assert shown.getbbox() == (x, y, x + width, y + height)


def test_memory_handed_on_is_not_copied(rig):
    screen = Screen(rig, ["--shm", "pass"], ["--frames", "3", "--damage", SPOTS[1]])
    assert [stats(process)["copied_bytes"] for process in screen.bridge.processes()] == [0, 0]
    assert screen.next() == (0, 0)
    assert screen.next() == (0, 0)


def test_auto_hands_on_over_the_socket(rig):
    screen = Screen(rig, [], ["--frames", "2", "--damage", SPOTS[1]])
    assert screen.next() == (0, 0)
