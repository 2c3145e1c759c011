# SPDX-License-Identifier: MIT
"""What the host shows of a program in the guest is, in every byte, what it shows of the same program
beside the compositor."""
import functools
import hashlib
import random
import re
import tempfile

import pytest

import pixels
import rig as lab
import test_pixels
import test_selection
import vmrig

pytestmark = pytest.mark.timeout(240)

# Not shm-paint-viewport: what is around its damage is, with a slow client, weston's mood.
NAMES = ["weston-transformed", "weston-simple-damage", "weston-terminal", "foot", "gtk4-demo",
         "qt6-featherpad", "sdl3-geometry", "shm-paint-damage", "shm-paint-odd-size",
         "shm-paint-larger-than-the-output", "shm-paint-scaled", "shm-paint-transform-5"]
TEXT = "text/plain;charset=utf-8"
BIG = "application/x-big"


@functools.cache
def wanted(name):
    """The picture without a machine (test_pixels shows that it is always the same)."""
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    try:
        return pixels.reference(rig, test_pixels.BY_NAME[name])
    finally:
        rig.finish()


def check(rig, name, guest_args=()):
    client = test_pixels.BY_NAME[name]
    reference = wanted(name)
    compositor = pixels.COMPOSITORS[client.compositor](rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor, guest_args=guest_args)
    pixels.globals_text(rig, bridge.display)  # what is made once is made now
    start = [vmrig.settle(lambda p=p: vmrig.counts(p)[0]) for p in bridge.processes()]
    process = pixels.start_client(rig, client, bridge.display)
    pixels.wait_same(compositor, process, reference, f"vm-{name}{''.join(guest_args)}")
    assert process.popen.vm is rig.vm, "it did not run in the guest"
    process.stop()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    for program, most in zip(bridge.processes(), start):
        lab.wait_until(lambda p=program, m=most: vmrig.counts(p)[0] <= m,
                       lambda p=program, m=most: f"{p.name}'s fds to return to {m}")
    rig.machine.alive()


@pytest.mark.parametrize("name", NAMES)
def test_pictures(rig, name):
    check(rig, name)


def test_without_extensions(rig):
    """As with a host that is not Causeway's."""
    check(rig, "shm-paint-damage", ["--extensions", "none"])


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """As test_selection's, but not so big."""
    folder = tmp_path_factory.mktemp("cw-data")
    made = {}
    for mime, content in ((TEXT, "Grüße, 世界\n".encode() * 100), ("text/x-empty", b""),
                          (BIG, random.Random(2).randbytes(4 << 20))):
        path = folder / re.sub(r"\W", "-", mime)
        path.write_bytes(content)
        made[mime] = (str(path), len(content), hashlib.sha256(content).hexdigest())
    return made


@pytest.fixture(params=["default", "plain"])
def desk(rig, request, blobs):
    for path, _, _ in blobs.values():
        rig.vm.ship(path)
    return test_selection.Desk(rig, request.param)


@pytest.mark.parametrize("source,target", test_selection.DIRECTIONS)
def test_clipboard(desk, blobs, source, target):
    """Text, nothing, and some megabytes."""
    for mime in (TEXT, "text/x-empty", BIG):
        path, size, digest = blobs[mime]
        desk.offer(source, "clipboard", mime, path)
        reader = desk.clients[target]
        desk.sway.focus(reader, target)
        reader.expect(f"selection clipboard {re.escape(mime)}")
        reader.ask(f"paste clipboard {mime}", "received clipboard .*")
        reader.at -= 1
        test_selection.receive(reader, "clipboard", size, digest)
        desk.clients[source].expect(f"sent clipboard {size}")


def test_clipboard_reader_dies(rig, blobs):
    """The program in the guest that offered learns that nobody reads any more."""
    for path, _, _ in blobs.values():
        rig.vm.ship(path)
    desk = test_selection.Desk(rig, "default")
    path, size, digest = blobs[BIG]
    desk.offer("guest", "clipboard", BIG, path)
    victim = rig.probe(desk.sway.display, "victim", window=True)
    victim.expect(f"selection clipboard {BIG}")
    victim.ask(f"paste clipboard {BIG} {1 << 20}", r"paused clipboard \d+")
    desk.clients["guest"].mark()
    victim.kill()
    desk.clients["guest"].expect("send-failed clipboard Broken pipe")
    desk.focus("host")
    reader = desk.clients["host"]
    reader.ask(f"paste clipboard {BIG}", "received clipboard .*")
    reader.at -= 1
    test_selection.receive(reader, "clipboard", size, digest)


def test_drag_and_drop(rig, blobs):
    """From the guest to the host, text."""
    rig.vm.ship(blobs[TEXT][0])
    desk = test_selection.Desk(rig, "default")
    test_selection.test_drag_and_drop(desk, blobs, TEXT, "guest", "host")


def test_wl_clipboard(rig):
    """Real programs: what one side copies, the other pastes."""
    sway = rig.sway()
    rig.virtual_input(sway.display).ask("keyboard us", "ok")
    bridge = rig.bridge(sway)
    env = {side: dict(rig.env, WAYLAND_DISPLAY=display)
           for side, display in (("guest", bridge.display), ("host", sway.display))}
    for number, (source, target) in enumerate(test_selection.DIRECTIONS):
        text = f"{source} to {target}, number {number}: Grüße"
        copier = rig.start(["wl-copy", "--foreground", text], env[source])

        def pasted(target=target):
            return rig.run(["wl-paste", "--no-newline"], env[target]).stdout
        lab.wait_until(lambda text=text, pasted=pasted: pasted() == text,
                       f"{text!r} from wl-paste")
        copier.stop()
