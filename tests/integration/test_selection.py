# SPDX-License-Identifier: MIT
"""Clipboard, primary selection and drag-and-drop between a guest client and a host client.

sway headless with a virtual pointer and keyboard: focus and serials are real.
"""
import hashlib
import os
import random
import re
import signal
import tempfile

import pytest

import rig as lab

SIZE = (640, 480)
BIG = 64 << 20

# The socket front end hands the pipes' fds on; without that extension their bytes are streamed:
# pushed, or by the mailbox, and with or without back-pressure of each pipe's own.
VARIANTS = {"default": [], "streamed": ["--extensions", "push,pipe-credit"],
            "mailbox": ["--extensions", "pipe-credit"], "plain": ["--extensions", "none"]}
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def blobs():
    """Files to offer, with their digests: a text, and 64 MiB that no pattern repeats in."""
    folder = tempfile.mkdtemp(prefix="cw-data-")
    text = "Grüße, 世界\n".encode() * 100
    rng = random.Random(2)
    data = {"text/plain;charset=utf-8": text, "application/x-big": rng.randbytes(BIG),
            "text/x-empty": b""}
    made = {}
    for mime, content in data.items():
        path = os.path.join(folder, re.sub(r"\W", "-", mime))
        with open(path, "wb") as file:
            file.write(content)
        made[mime] = (path, len(content), hashlib.sha256(content).hexdigest())
    yield made
    for path, _, _ in made.values():
        os.unlink(path)
    os.rmdir(folder)


class Desk:
    """A compositor with input, one client behind the bridge and one beside it, tiled."""

    def __init__(self, rig, variant):
        self.rig = rig
        # cross-domain's own commands have no window for a pipe to the guest: a reader there that
        # pauses holds up its own program's connection (never another's).
        self.variant = variant
        self.plain = variant == "plain"
        self.sway = rig.sway(size=SIZE)
        self.input = rig.virtual_input(self.sway.display)
        self.input.ask("keyboard us", "ok")
        self.bridge = rig.bridge(self.sway, guest_args=VARIANTS[variant])
        self.clients = {}
        for name, display in (("guest", self.bridge.display), ("host", self.sway.display)):
            client = rig.probe(display, name, window=True)
            client.expect("focused")
            self.clients[name] = client
        # Both have drawn their half: now the tree's rectangles are where the windows are.
        self.clients["guest"].expect(rf"resized {SIZE[0] // 2} {SIZE[1]}")
        for client in self.clients.values():
            client.ask("sync", "synced")

    def focus(self, name):
        """Focus changes hands, so the event comes; nothing happens if it is there already."""
        other = "host" if name == "guest" else "guest"
        self.sway.focus(self.clients[other], other)
        self.clients[other].ask("sync", "synced")
        self.sway.focus(self.clients[name], name)
        self.clients[name].expect("focused")

    def offer(self, name, kind, mime, path):
        self.focus(name)
        self.clients[name].ask(f"offer {kind} {mime} {path}", f"offered {kind} .*")
        self.clients[name].ask("sync", "synced")

    def move_to(self, name, fx=0.5, fy=0.5):
        rect = self.sway.windows()[name]
        x, y = rect["x"] + int(rect["width"] * fx), rect["y"] + int(rect["height"] * fy)
        self.input.ask(f"move {x} {y} {SIZE[0]} {SIZE[1]}", "ok")
        return x - rect["x"], y - rect["y"]

    def point_at(self, name):
        """The pointer in the middle of a window, and its client knows."""
        self.clients[name].mark()
        self.move_to(name, 0.25, 0.25)
        x, y = self.move_to(name)
        self.clients[name].expect(rf"pointer-(enter|motion) {x} {y}")


def receive(client, kind, size, digest, deadline=60):
    match = client.expect(rf"received {kind} (\d+) (\w+)", deadline)
    assert (int(match[1]), match[2]) == (size, digest)


@pytest.fixture(params=VARIANTS)
def desk(rig, request):
    return Desk(rig, request.param)


DIRECTIONS = [("guest", "host"), ("host", "guest")]


@pytest.mark.parametrize("source,target", DIRECTIONS)
@pytest.mark.parametrize("kind", ["clipboard", "primary"])
def test_selection(desk, blobs, kind, source, target):
    for mime in ("text/plain;charset=utf-8", "text/x-empty", "application/x-big"):
        path, size, digest = blobs[mime]
        desk.offer(source, kind, mime, path)
        reader = desk.clients[target]
        desk.sway.focus(reader, target)
        reader.expect(f"selection {kind} {re.escape(mime)}")
        reader.ask(f"paste {kind} {mime}", f"received {kind} .*", 60)
        reader.at -= 1
        receive(reader, kind, size, digest)
        desk.clients[source].expect(f"sent {kind} {size}")


@pytest.mark.memory
@pytest.mark.parametrize("source,target", DIRECTIONS)
def test_reader_that_pauses(desk, blobs, source, target):
    mime = "application/x-big"
    path, size, digest = blobs[mime]
    desk.offer(source, "clipboard", mime, path)
    reader = desk.clients[target]
    desk.sway.focus(reader, target)
    reader.expect(f"selection clipboard {mime}")
    reader.ask(f"paste clipboard {mime} {3 << 20}", r"paused clipboard \d+")
    # While it doesn't read: its own connection, the writer's and another client's go on.
    other = desk.rig.probe(desk.bridge.display, "other")
    held_up = desk.plain and target == "guest"
    for client in (other, desk.clients[source], *([] if held_up else [reader])):
        for _ in range(20):
            client.ask("sync", "synced", 10)
    if not held_up:
        # A second transfer overtakes the one that stands still.
        reader.ask(f"paste clipboard {mime}", r"received .*", 60)
        reader.at -= 1
        receive(reader, "clipboard", size, digest)
    assert not [line for line in desk.clients[source].lines if line.startswith("send-failed")]
    # And no program took the rest into its own memory meanwhile.
    if not lab.sanitized() and desk.bridge.kind == "causeway":
        for process in desk.bridge.processes():
            assert lab.counts(process)[1] < 24 * 1024, process.name
    reader.mark()
    reader.send("resume")
    receive(reader, "clipboard", size, digest)
    reader.ask("sync", "synced")


@pytest.mark.parametrize("source,target", DIRECTIONS)
def test_reader_that_dies(desk, blobs, source, target):
    mime = "application/x-big"
    path, size, digest = blobs[mime]
    desk.offer(source, "clipboard", mime, path)
    display = desk.bridge.display if target == "guest" else desk.sway.display
    victim = desk.rig.probe(display, "victim", window=True)
    victim.expect(f"selection clipboard {mime}")
    victim.ask(f"paste clipboard {mime} {1 << 20}", r"paused clipboard \d+")
    desk.clients[source].mark()
    victim.popen.send_signal(signal.SIGKILL)
    victim.wait()
    # The writer learns of it as it would without a bridge; but no plain cross-domain command tells
    # the guest of it: there the rest is thrown away.
    silent = desk.plain and source == "guest"
    thrown_away = rf"|sent clipboard {size}" if silent else ""
    desk.clients[source].expect("send-failed clipboard Broken pipe" + thrown_away)
    for client in desk.clients.values():
        client.ask("sync", "synced")
    reader = desk.clients[target]
    desk.focus(target)
    reader.ask(f"paste clipboard {mime}", "received clipboard .*", 60)
    reader.at -= 1
    receive(reader, "clipboard", size, digest)


@pytest.mark.parametrize("source,target", DIRECTIONS)
@pytest.mark.parametrize("mime", ["text/plain;charset=utf-8", "application/x-big"])
def test_drag_and_drop(desk, blobs, mime, source, target):
    path, size, digest = blobs[mime]
    giver, taker = desk.clients[source], desk.clients[target]
    desk.point_at(source)
    giver.ask(f"offer dnd {mime} {path}", "offered dnd .*")
    taker.mark()
    if size == BIG:
        taker.send(f"drop-pause {2 << 20}")
    desk.input.ask("press", "ok")
    giver.expect("drag-started")
    giver.ask("sync", "synced")
    desk.move_to(target, 0.3)
    taker.expect(rf"dnd-enter \d+ \d+ {re.escape(mime)}")
    desk.move_to(target, 0.6)
    # The target has to have said yes before the drop counts as one.
    taker.expect("dnd-action 1")
    giver.expect(f"drag-target {re.escape(mime)}")
    giver.expect("drag-action 1")
    desk.input.ask("release", "ok")
    giver.expect("drag-dropped")
    taker.expect(f"dnd-drop {re.escape(mime)}")
    if size == BIG:
        taker.expect(r"paused dnd \d+")
        for name, client in desk.clients.items():
            if not (desk.plain and name == target == "guest"):
                client.send("sync")
                client.expect("synced")
        taker.send("resume")
    receive(taker, "dnd", size, digest)
    giver.expect("drag-finished")


def test_drag_cancelled(desk, blobs):
    """A drop where nobody takes it."""
    mime = "text/plain;charset=utf-8"
    giver = desk.clients["guest"]
    desk.point_at("guest")
    giver.ask(f"offer dnd {mime} {blobs[mime][0]}", "offered dnd .*")
    desk.input.ask("press", "ok")
    giver.expect("drag-started")
    giver.ask("sync", "synced")
    desk.clients["host"].popen.send_signal(signal.SIGKILL)
    desk.clients["host"].wait()
    desk.sway.run("workspace two")
    desk.input.ask(f"move 1 1 {SIZE[0]} {SIZE[1]}", "ok")
    giver.mark()
    desk.input.ask("release", "ok")
    giver.expect("cancelled dnd")
    giver.ask("sync", "synced")


@pytest.mark.memory
def test_many_offers(desk, blobs):
    """2000 server-created objects in one connection: ids and objects are freed again."""
    mime = "text/plain;charset=utf-8"
    reader = desk.clients["guest"]
    middle = []
    for part in range(2):
        # The host's client offers while the guest's has the focus: it hears of every one.
        desk.offer("host", "clipboard", mime, blobs[mime][0])
        desk.focus("guest")
        reader.mark()
        # In turns: a compositor drops a client, of a bridge or not, that is behind by a socketful.
        for _ in range(10):
            desk.clients["host"].ask(f"storm 100 {blobs[mime][0]}", "stormed", 60)
            reader.ask("sync", "synced")
        heard = [line for line in reader.lines if line.startswith("selection clipboard text/plain")]
        assert len(heard) >= 1000 * (part + 1)
        reader.ask(f"paste clipboard {mime}", "received clipboard .*")
        if part == 0:
            middle = [lab.counts(p) for p in desk.bridge.processes()]
    after = [lab.counts(p) for p in desk.bridge.processes()]
    if desk.bridge.kind == "causeway":
        assert [a[0] for a in after] == [m[0] for m in middle]
    if not lab.sanitized() and desk.bridge.kind == "causeway":
        for process, old, new in zip(desk.bridge.processes(), middle, after):
            assert new[1] - old[1] < 512, f"{process.name} grew from {old[1]} to {new[1]} KiB"
    reader.ask(f"paste clipboard {mime}", f"received clipboard {blobs[mime][1]} {blobs[mime][2]}")
