# SPDX-License-Identifier: MIT
"""weston's demo clients through the bridge: each shows its window, and lives.

Most run on sway, which says what windows it has; what needs something of weston's own runs on a weston in sway.
ABSENT are those that no compositor here lets run, with what they need; they end the same way directly.
"""
import contextlib
import dataclasses
import json
import re
import tempfile

import pytest

import desktops
import rig as lab
from PIL import Image, ImageChops

pytestmark = pytest.mark.timeout(90)

KEY_A, KEY_N = 30, 49
# The letter on weston's keyboard at the bottom of the screen.
KEYBOARD_C = 230, 398
# Rows at the bottom, in whose corner the pointer waits.
POINTER = 40


@dataclasses.dataclass
class Demo:
    """A client. title: a pattern of its window's."""
    name: str
    title: str = ""
    args: tuple = ()
    where: str = "sway"
    prefix: tuple = ()

    def argv(self):
        return [*self.prefix, f"weston-{self.name}", *self.args]


DEMOS = [
    Demo("clickdot", "Wayland ClickDot"),
    Demo("cliptest", "cliptest"),
    Demo("constraints", "simple-constraints"),
    Demo("dnd", "Wayland Drag and Drop Demo"),
    Demo("editor", where="nested"),
    Demo("eventdemo", "EventDemo"),
    Demo("flower", "Flower"),
    Demo("fullscreen", "Fullscreen"),
    Demo("image", r"Wayland Image - background\.png", ("/usr/share/weston/background.png",)),
    Demo("multi-resource", "multi-resource"),
    Demo("presentation-shm", "presentation-shm: .*"),
    Demo("resizor", "Wayland Resizor"),
    Demo("scaler", "Scaler Test Box"),
    # Wants a buffer back before the next frame, and ends where the compositor takes its time, as sway does.
    Demo("simple-damage", where="nested"),
    Demo("simple-egl", "simple-egl"),
    Demo("simple-shm", "simple-shm"),
    Demo("simple-touch", "simple-touch"),
    Demo("smoke", "smoke"),
    Demo("stacking", "Stacking Test"),
    Demo("subsurfaces", "Wayland Sub-surface Demo"),
    Demo("tablet", "Wayland Tablet Demo"),
    Demo("terminal", "Wayland Terminal"),
    Demo("transformed", "Transformed"),
]
# What they end with on each compositor here, and what they need.
ABSENT = {
    "content_protection": ("content-protection object is NULL",
                           "weston_content_protection, of a weston that drives a display with HDCP"),
    "touch-calibrator": ("does not expose the calibration interface",
                         "weston_touch_calibration, of a weston that drives a touch screen"),
}


@pytest.fixture(scope="module")
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


@dataclasses.dataclass
class Place:
    """A compositor, the sway that it is in or is, and a bridge to it."""
    sway: object
    compositor: object
    bridge: object
    hand: object
    empty: bytes

    def settled(self, which=bool):
        """A picture that stands still, and of which `which` is true."""
        run = []

        def still():
            run.append(self.picture())
            return len(run) > 3 and len(set(run[-3:])) == 1 and which(run[-1]) and run[-1]
        return lab.wait_until(still, "a picture that stands still")

    def picture(self):
        """All but the edge where the pointer is."""
        width, height, data = desktops.grim(self.sway.rig, self.sway.display)
        return data[:width * (height - POINTER) * 3]

    def click(self, x, y):
        self.hand.ask(f"move {x} {y} {desktops.SIZE[0]} {desktops.SIZE[1]}", "ok")
        for command in ("press", "release"):
            self.hand.ask(command, "ok")

    @contextlib.contextmanager
    def running(self, demo, display=None):
        """Run it: there is (process, picture) when it shows something. It has to live until the end; then the
        next has an empty desktop again."""
        env = dict(self.sway.rig.env, WAYLAND_DISPLAY=display or self.bridge.display,
                   LC_ALL="C.UTF-8", LIBGL_ALWAYS_SOFTWARE="1")
        env.pop("DISPLAY", None)
        process = self.sway.rig.start(demo.argv(), env)

        def shown():
            assert process.running(), (process.popen.returncode, process.errors, process.lines)
            titled = demo.where != "sway" or any(
                re.fullmatch(demo.title, name or "") for name in self.sway.windows())
            picture = self.picture()
            return titled and picture != self.empty and picture
        try:
            yield process, lab.wait_until(shown, f"the window of {demo.name}")
            assert process.running(), (process.popen.returncode, process.errors, process.lines)
        finally:
            process.kill()
        self.hand.ask("move 999 999 1000 1000", "ok")
        if self.sway is self.compositor:
            lab.wait_until(lambda: self.picture() == self.empty, "an empty desktop")
        else:
            # The input method's keys may stay; windows appear anywhere.
            self.empty = self.settled()


@pytest.fixture(scope="module")
def places(rig):
    made = {}

    def get(name):
        if name not in made:
            sway = rig.sway()
            hand = rig.virtual_input(sway.display)
            hand.ask("keyboard us", "ok")
            hand.ask("move 999 999 1000 1000", "ok")
            compositor = desktops.NestedWeston(rig, sway) if name == "nested" else sway
            made[name] = place = Place(sway, compositor, rig.bridge(compositor), hand, b"")
            place.empty = place.settled(lambda picture: picture[len(picture) // 2 + 900:][:3] == b"\x10" * 3)
        return made[name]
    return get


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.name)
def test_shows_and_lives(places, demo):
    with places(demo.where).running(demo):
        pass


@pytest.mark.parametrize("name", ABSENT)
def test_says_what_is_missing(places, name):
    place = places("sway")
    for display in (place.compositor.display, place.bridge.display):
        process = place.sway.rig.start([f"weston-{name}"],
                                       dict(place.sway.rig.env, WAYLAND_DISPLAY=display))
        assert process.wait() != 0
        assert ABSENT[name][0] in "\n".join(process.lines + process.errors)


def test_events(places):
    """eventdemo says what it gets: the same as directly."""
    place = places("sway")
    demo = Demo("eventdemo", "EventDemo", ("--log-key", "--log-button", "--log-focus"), prefix=("stdbuf", "-oL"))
    said = []
    for display in (place.compositor.display, place.bridge.display):
        with place.running(demo, display) as (process, _):
            place.hand.ask("move 500 500 1000 1000", "ok")
            for command in ("press", "release", f"key {KEY_A}"):
                place.hand.ask(command, "ok")
            lab.wait_until(lambda: sum("key" in line for line in process.lines) >= 2, "a key")
            said.append([re.sub(r"time: \d+", "time", line) for line in process.lines])
    assert said[0] == said[1] and any("button" in line for line in said[0])


def test_click(places):
    """clickdot paints where it is clicked."""
    place = places("sway")
    with place.running(Demo("clickdot", "Wayland ClickDot")) as (_, before):
        place.click(250, 200)
        place.hand.ask("move 999 999 1000 1000", "ok")
        lab.wait_until(lambda: place.picture() != before, "a dot")


def test_new_window(places):
    """stacking opens a second window at a key."""
    place = places("sway")
    with place.running(Demo("stacking", "Stacking Test")):
        place.hand.ask(f"key {KEY_N}", "ok")
        lab.wait_until(lambda: json.dumps(place.sway.ipc("", 4)).count('"app_id": "org') == 2, "two windows")


def test_typing_into_editor(places):
    """A letter of weston's own keyboard comes by text-input v1, the next from a key; both are in the text."""
    place = places("nested")
    with place.running(Demo("editor", where="nested", prefix=("env", "WAYLAND_DEBUG=1"))) as (process, _):
        size = desktops.SIZE[0], desktops.SIZE[1] - POINTER
        pictures = [Image.frombytes("RGB", size, data) for data in (place.empty, place.settled())]
        left, upper, right, lower = ImageChops.difference(*pictures).getbbox()
        # Its first entry, a third down.
        place.click((left + right) // 2, upper + (lower - upper) // 3)
        place.settled()
        place.click(*KEYBOARD_C)
        process.expect_error(r'text_input_v1.*preedit_string\(\d+, "c", "c"\)')
        place.hand.ask(f"key {KEY_A}", "ok")
        process.expect_error(r'text_input_v1.*set_surrounding_text\("Entryca", 7, 7\)')
