# SPDX-License-Identifier: MIT
"""Clipboard, primary selection and drag-and-drop between X11 programs of the guest and Wayland programs.

One sway, one bridge and one Xwayland for all tests; xclip and wl-clipboard at the ends, or a client of our
own where it has to stall, die, or drag.
"""
import hashlib
import os
import random
import re
import signal
import subprocess
import tempfile

import pytest

import rig as lab

SIZE = (640, 480)
TEXT = "Grüße, 世界\n" * 100
BIG = random.Random(5).randbytes(16 << 20)
BINARY = "application/x-big"
UTF8 = "text/plain;charset=utf-8"
KINDS = ["clipboard", "primary"]
# Pipes are handed on as fds, or their bytes are streamed as in a virtual machine.
VARIANTS = {"default": [], "streamed": ["--extensions", "push,pipe-credit"]}

pytestmark = pytest.mark.timeout(240)


class Desk:
    """A compositor with input, and a window of each kind on it."""

    def __init__(self, rig, guest_args=()):
        self.rig = rig
        self.sway = rig.sway(size=SIZE)
        self.input = rig.virtual_input(self.sway.display)
        self.input.ask("keyboard us", "ok")
        self.bridge = rig.bridge(self.sway, guest_args=guest_args)
        name = self.bridge.guest.expect_error(r"X11 programs: display (:\d+)")
        self.x_env = dict(rig.env, DISPLAY=name[1])
        self.x_env.pop("WAYLAND_DISPLAY", None)
        self.host_env = dict(rig.env, WAYLAND_DISPLAY=self.sway.display)
        self.x = self.xprobe("x11")
        self.host = rig.probe(self.sway.display, "host", window=True)
        self.host.expect("focused")
        self.folder = tempfile.mkdtemp(dir=rig.dir)

    def xprobe(self, title):
        client = self.rig.start([lab.program("xprobe"), title], self.x_env)
        client.expect("mapped")
        lab.wait_until(lambda: title in self.sway.windows(), f"the window {title}")
        return client

    def focus_x(self):
        """X11 programs have the keyboard, and what the compositor says then has reached them."""
        self.sway.run('[title="^host$"] focus')
        self.sway.focus(self.x, "x11")
        self.x.expect("focused")

    def file(self, content):
        fd, path = tempfile.mkstemp(dir=self.folder)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        return path

    def run(self, argv, env, **kwargs):
        done = subprocess.run(argv, env=env, capture_output=True, timeout=lab.DEADLINE, check=False,
                              **kwargs)
        return done.stdout if done.returncode == 0 else None

    # Both of these go on in the background, and end when somebody else copies.
    def x_copies(self, kind, mime, content):
        self.focus_x()
        return self.rig.start(["xclip", "-quiet", "-selection", kind, "-i", "-t", mime,
                               self.file(content)], self.x_env)

    def host_copies(self, kind, mime, content):
        with open(self.file(content), "rb") as file:
            subprocess.run(["wl-copy", "--type", mime, *self.wl_kind(kind)], env=self.host_env,
                           stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=lab.DEADLINE, check=True)

    @staticmethod
    def wl_kind(kind):
        return ["--primary"] if kind == "primary" else []

    def host_types(self, kind):
        got = self.run(["wl-paste", "--list-types", *self.wl_kind(kind)], self.host_env)
        return (got or b"").decode().split("\n")

    def host_pastes(self, kind, mime):
        return self.run(["wl-paste", "--no-newline", "--type", mime, *self.wl_kind(kind)],
                        self.host_env)

    def x_types(self, kind):
        return (self.x_pastes(kind, "TARGETS") or b"").decode().split("\n")

    def x_pastes(self, kind, target):
        return self.run(["xclip", "-selection", kind, "-o", "-t", target], self.x_env)

    def wait_host(self, kind, mime):
        lab.wait_until(lambda: mime in self.host_types(kind), f"{mime} on the host")

    def wait_x(self, kind, mime):
        lab.wait_until(lambda: mime in self.x_types(kind), f"{mime} for X11 programs")

    def tiles(self):
        """The two windows' rectangles, once both have drawn their half."""
        found = self.sway.windows()
        halves = all(rect["width"] == SIZE[0] // 2 for rect in found.values())
        return found if halves and len(found) == 2 else None

    def point_at(self, title, fx, fy):
        rect = lab.wait_until(self.tiles, "two windows beside each other")[title]
        x, y = rect["x"] + int(rect["width"] * fx), rect["y"] + int(rect["height"] * fy)
        self.input.ask(f"move {x} {y} {SIZE[0]} {SIZE[1]}", "ok")
        return x - rect["x"], y - rect["y"]

    def aim(self, title, client):
        """The pointer in the middle of a window, and its client knows. The compositor may know where a
        window is to be before it is there."""
        def arrived():
            client.mark()
            self.point_at(title, 0.25, 0.25)
            x, y = self.point_at(title, 0.5, 0.5)
            client.send("sync")
            client.expect("synced")
            return any(re.fullmatch(rf"pointer-(enter|motion) {x} {y}", line)
                       for line in client.lines[-8:])
        lab.wait_until(arrived, f"the pointer over {title}")


@pytest.fixture(scope="module", params=VARIANTS)
def desk(request):
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    try:
        yield Desk(rig, VARIANTS[request.param])
    finally:
        rig.finish()


@pytest.mark.parametrize("kind", KINDS)
def test_text_from_x(desk, kind):
    desk.x_copies(kind, "UTF8_STRING", TEXT.encode())
    desk.wait_host(kind, UTF8)
    assert "text/plain" in desk.host_types(kind)
    assert desk.host_pastes(kind, UTF8).decode() == TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_text_to_x(desk, kind):
    desk.host_copies(kind, UTF8, TEXT.encode())
    desk.focus_x()
    desk.wait_x(kind, UTF8)
    assert desk.x_pastes(kind, "UTF8_STRING").decode() == TEXT
    assert desk.x_pastes(kind, UTF8).decode() == TEXT
    # Latin-1 has no 世.
    assert desk.x_pastes(kind, "STRING") == TEXT.replace("世界", "??").encode("latin-1")
    assert desk.x_pastes(kind, "image/png") is None


@pytest.mark.parametrize("kind", KINDS)
def test_large_from_x(desk, kind):
    desk.x_copies(kind, BINARY, BIG)
    desk.wait_host(kind, BINARY)
    assert desk.host_pastes(kind, BINARY) == BIG


@pytest.mark.parametrize("kind", KINDS)
def test_large_to_x(desk, kind):
    desk.host_copies(kind, BINARY, BIG)
    desk.focus_x()
    desk.wait_x(kind, BINARY)
    assert desk.x_pastes(kind, BINARY) == BIG


def test_among_x_programs(desk):
    """The compositor's own word of it comes back, and changes nothing."""
    copying = desk.x_copies("clipboard", "text/html", b"<b>x</b>")
    desk.wait_host("clipboard", "text/html")
    desk.focus_x()
    desk.x.ask("sync", "synced")
    assert desk.x_pastes("clipboard", "text/html") == b"<b>x</b>"
    assert copying.running()
    # With its owner it is gone for everybody.
    copying.kill()
    lab.wait_until(lambda: "text/html" not in desk.host_types("clipboard"), "nothing on the host")


def test_requestors_that_stall_and_die(desk):
    # Not wl-copy: it serves one after another.
    desk.sway.focus(desk.x, "x11")
    desk.sway.focus(desk.host, "host")
    desk.host.expect("focused")
    desk.host.ask(f"offer clipboard {BINARY} {desk.file(BIG)}", "offered clipboard .*")
    desk.focus_x()
    desk.wait_x("clipboard", BINARY)
    guest = desk.bridge.guest
    before = lab.counts(guest)
    victim = desk.xprobe("victim")
    victim.expect("focused")
    desk.wait_x("clipboard", BINARY)
    victim.ask(f"stall CLIPBOARD {BINARY}", "stalled CLIPBOARD")
    desk.x.ask(f"stall CLIPBOARD {BINARY}", "stalled CLIPBOARD")
    # Others get all of it meanwhile, and no program takes it into its memory.
    assert desk.x_pastes("clipboard", BINARY) == BIG
    if not lab.sanitized():
        assert lab.counts(guest)[1] - before[1] < 8 * 1024
    desk.host.mark()
    victim.popen.send_signal(signal.SIGKILL)
    victim.wait()
    desk.host.expect(rf"resized {SIZE[0] // 2} {SIZE[1]}")
    # The one that stalls gives up and asks once more.
    desk.x.ask(f"request CLIPBOARD {BINARY}", "received CLIPBOARD .*", 60)
    desk.x.at -= 1
    digest = hashlib.sha256(BIG).hexdigest()
    desk.x.expect(f"received CLIPBOARD {len(BIG)} {digest}")
    lab.wait_until(lambda: lab.counts(guest)[0] <= before[0], "the pipes to be closed")


def test_drag_to_x(desk):
    content = b"file:///tmp/dragged\r\n"
    desk.sway.focus(desk.host, "host")
    desk.aim("host", desk.host)
    desk.host.ask(f"offer dnd text/uri-list {desk.file(content)}", "offered dnd .*")
    desk.x.mark()
    desk.input.ask("press", "ok")
    desk.host.expect("drag-started")
    desk.host.ask("sync", "synced")
    desk.point_at("x11", 0.3, 0.5)
    desk.x.expect("xdnd-enter text/uri-list")
    desk.point_at("x11", 0.5, 0.5)
    # It has been its own target before.
    desk.host.expect("dnd-leave")
    desk.host.expect("drag-target text/uri-list")
    desk.host.expect("drag-action 1")
    desk.input.ask("release", "ok")
    desk.host.expect("drag-dropped")
    desk.x.expect("xdnd-drop")
    digest = hashlib.sha256(content).hexdigest()
    desk.x.expect(f"received XdndSelection {len(content)} {digest}")
    desk.host.expect("drag-finished")


def test_drag_to_x_that_leaves_or_is_refused(desk):
    desk.sway.focus(desk.host, "host")
    desk.aim("host", desk.host)
    desk.host.ask(f"offer dnd text/uri-list {desk.file(b'x')}", "offered dnd .*")
    desk.x.send("refuse")
    desk.x.mark()
    desk.input.ask("press", "ok")
    desk.host.expect("drag-started")
    desk.host.ask("sync", "synced")
    desk.point_at("x11", 0.3, 0.5)
    desk.x.expect("xdnd-enter text/uri-list")
    desk.point_at("host", 0.5, 0.5)
    desk.x.expect("xdnd-leave")
    desk.point_at("x11", 0.3, 0.5)
    desk.x.expect("xdnd-enter text/uri-list")
    desk.x.expect("xdnd-position .*")
    desk.input.ask("release", "ok")
    desk.host.expect("cancelled dnd")
    desk.x.send("accept")
    desk.x.ask("sync", "synced")


def start_x_drag(desk, content):
    desk.focus_x()
    desk.aim("x11", desk.x)
    desk.x.ask(f"drag text/uri-list {desk.file(content)}", "armed .*")
    desk.x.mark()
    desk.input.ask("press", "ok")
    desk.x.expect("dragging")
    desk.x.ask("sync", "synced")


def test_drag_from_x(desk):
    content = b"file:///tmp/from-x\r\n"
    start_x_drag(desk, content)
    desk.host.mark()
    # Within its own window, as people do: there the compositor learns of the drag.
    desk.point_at("x11", 0.55, 0.5)
    desk.x.expect("status .*")
    desk.point_at("host", 0.3, 0.5)
    desk.host.expect(r"dnd-enter \d+ \d+ text/uri-list")
    desk.point_at("host", 0.6, 0.5)
    desk.host.expect("dnd-action 1")
    desk.x.expect("status 1 XdndActionCopy")
    desk.input.ask("release", "ok")
    desk.host.expect("dnd-drop text/uri-list")
    digest = hashlib.sha256(content).hexdigest()
    desk.host.expect(f"received dnd {len(content)} {digest}")
    desk.x.expect("dropped")
    desk.x.expect("finished 1 XdndActionCopy")


def test_drag_from_x_to_nowhere(desk):
    start_x_drag(desk, b"x")
    desk.point_at("x11", 0.55, 0.5)
    desk.x.expect("status .*")
    desk.sway.run("workspace two")
    desk.input.ask(f"move 1 1 {SIZE[0]} {SIZE[1]}", "ok")
    # Until it knows, it drops on itself.
    desk.x.expect("unfocused")
    desk.x.expect("status 0 .*")
    desk.input.ask("release", "ok")
    desk.x.expect("dropped unwanted|dropped nowhere|finished 0 .*")
    desk.sway.run("workspace 1")
    desk.focus_x()
    desk.x.ask("sync", "synced")
