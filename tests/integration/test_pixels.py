# SPDX-License-Identifier: MIT
"""What the host shows through the bridge is, in every byte, what the client shows by itself."""
import functools
import tempfile

import pytest

import pixels
import rig as lab
from pixels import Client, example

pytestmark = pytest.mark.timeout(180)

SDL_TESTS = "/usr/libexec/installed-tests/SDL3/"
SDL_EXAMPLES = "/usr/libexec/installed-examples/SDL3/"
SDL = {"SDL_VIDEODRIVER": "wayland", "SDL_RENDER_DRIVER": "software", "SDL_AUDIODRIVER": "dummy"}
GTK = {"GDK_BACKEND": "wayland", "GSK_RENDERER": "cairo"}
TEXT = "The quick brown fox jumps over the lazy dog: 0123456789\n" * 20


def gtk_settings(home):
    """Nothing that moves by itself."""
    folder = home / ".config" / "gtk-4.0"
    folder.mkdir()
    (folder / "settings.ini").write_text(
        "[Settings]\ngtk-enable-animations=0\ngtk-cursor-blink=0\n")


def text_file(home):
    (home / "text.txt").write_text(TEXT)


def terminal_script(home):
    """A shell that shows fixed text and then only waits."""
    text_file(home)
    script = home / "shell"
    script.write_text("#!/bin/sh\nstty -echo\ncat text.txt\nexec sleep infinity\n")
    script.chmod(0o755)


def foot_config(home):
    terminal_script(home)
    (home / "foot.ini").write_text("[main]\nfont=DejaVu Sans Mono:size=10\n"
                                   "[cursor]\nblink=no\n[csd]\npreferred=none\n")


def frozen(name, *args, frames=8, **env):
    """An animated client that stays at a frame (clients/freeze.c)."""
    return Client(name, [name, *args], env=dict(
        env, FREEZE_FRAMES=str(frames),
        LD_PRELOAD=str(lab.build_dir() / "tests/integration/clients/freeze.so")))


def paint(name, *args, frames=1, compositor="weston"):
    return Client(f"shm-paint-{name}", [example("shm-paint"), "--frames", str(frames), *args],
                  says=f"frame {frames}", compositor=compositor)


CLIENTS = [
    # weston's toolkit: cairo, sub-surfaces, viewports, buffer transforms
    Client("weston-scaler", ["weston-scaler"]),
    Client("weston-transformed", ["weston-transformed"]),
    Client("weston-cliptest", ["weston-cliptest"]),
    Client("weston-clickdot", ["weston-clickdot"]),
    Client("weston-eventdemo", ["weston-eventdemo"]),
    Client("weston-fullscreen", ["weston-fullscreen"]),
    Client("weston-image", ["weston-image", "/usr/share/weston/background.png"]),
    Client("weston-terminal", ["weston-terminal", "--shell=@HOME@/shell"],
           prepare=terminal_script),
    # its animated ones, at a fixed frame
    frozen("weston-simple-shm"),
    frozen("weston-simple-damage", frames=30),
    frozen("weston-flower"),
    frozen("weston-presentation-shm"),
    # sub-surfaces, one of them drawn by OpenGL in software and shown through wl_shm
    frozen("weston-subsurfaces", frames=16, LIBGL_ALWAYS_SOFTWARE="1"),
    # other toolkits
    Client("foot", ["foot", "--config=@HOME@/foot.ini", "@HOME@/shell"], compositor="sway",
           prepare=foot_config),
    Client("gtk4-demo", ["gtk4-demo"], env=GTK, prepare=gtk_settings),
    Client("gtk4-text", ["gtk4-demo", "--run=hypertext"], env=GTK, prepare=gtk_settings,
           compositor="sway"),
    Client("gtk4-css", ["gtk4-demo", "--run=css_basics"], env=GTK, prepare=gtk_settings),
    Client("gtk4-print-editor", ["gtk4-print-editor"], env=GTK, prepare=gtk_settings,
           compositor="sway"),
    Client("qt6-featherpad", ["featherpad", "--standalone", "@HOME@/text.txt"],
           env={"QT_QPA_PLATFORM": "wayland"}, prepare=text_file),
    Client("sdl3-viewport", [SDL_EXAMPLES + "renderer-viewport"], env=SDL),
    Client("sdl3-geometry", [SDL_TESTS + "testgeometry"], env=SDL),
    Client("sdl3-shape", [SDL_TESTS + "testshape"], env=SDL),
    Client("sdl3-yuv", [SDL_TESTS + "testyuv"], env=SDL),
    # our own
    paint("plain"),
    paint("damage", "--damage", "40,30,100,50", frames=7),
    paint("odd-size", "--size", "333x217", "--damage", "332,216,1,1", frames=5),
    paint("larger-than-the-output", "--size", "1920x1080", "--damage", "700,500,64,64", frames=4,
          compositor="sway"),
    paint("scaled", "--size", "400x300", "--scale", "2", "--damage", "11,13,57,59", frames=4),
    paint("viewport", "--size", "100x80", "--viewport", "500x400", "--damage", "1,2,3,4",
          frames=4),
    *[paint(f"transform-{number}", "--size", "320x200", "--transform", str(number), "--damage",
            "100,20,33,77", frames=4) for number in range(1, 8)],
]
BY_NAME = {client.name: client for client in CLIENTS}
# One of each kind for the variants that don't touch the drawing path.
FEW = ["weston-transformed", "foot", "gtk4-demo", "qt6-featherpad", "sdl3-yuv", "shm-paint-damage"]


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


@functools.cache
def wanted(name):
    """The reference; two direct runs agree, or the client is no measure of anything."""
    found = []
    for _ in range(2):
        rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
        try:
            found.append(pixels.reference(rig, BY_NAME[name]))
        finally:
            rig.finish()
    if found[0] != found[1]:
        pytest.fail(f"{name} is not the same in two direct runs: "
                    f"{pixels.save(name + '-twice', *found)}")
    return found[0]


def fds(bridge):
    return [lab.counts(process)[0] for process in bridge.processes()]


def quiet_fds(bridge):
    """The counts once the last client's end is through: nothing announces that."""
    seen = []

    def look():
        seen.append(fds(bridge))
        return len(seen) > 20 and all(counts == seen[-1] for counts in seen[-20:]) and seen[-1]
    return lab.wait_until(look, "the programs to be quiet")


def check(rig, name, guest_args):
    client = BY_NAME[name]
    reference = wanted(name)
    compositor = pixels.COMPOSITORS[client.compositor](rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor, guest_args=guest_args)
    pixels.globals_text(rig, bridge.display)  # what is made once is made now
    start = quiet_fds(bridge)
    process = pixels.start_client(rig, client, bridge.display)
    pixels.wait_same(compositor, process, reference, f"{name}{''.join(guest_args)}")
    process.stop()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    lab.wait_until(lambda: all(now <= then for now, then in zip(fds(bridge), start)),
                   f"fds to return to {start}")
    for program in bridge.processes():
        assert program.running(), program.errors[-10:]


@pytest.mark.parametrize("name", BY_NAME)
def test_default(rig, name):
    check(rig, name, [])


@pytest.mark.parametrize("name", BY_NAME)
def test_mirrored_memory(rig, name):
    check(rig, name, ["--shm", "mirror"])


@pytest.mark.parametrize("name", FEW)
def test_no_extensions(rig, name):
    check(rig, name, ["--extensions", "none"])


def test_reference_is_not_blind(rig):
    """Two pictures that differ in one pixel's worth of damage are not taken for the same."""
    reference = wanted("shm-paint-odd-size")
    compositor = pixels.Weston(rig)
    other = paint("other", "--size", "333x217", "--damage", "332,216,1,1", frames=4)
    empty = compositor.screenshot()
    process = pixels.start_client(rig, other, compositor.display)
    found = pixels.settled(compositor, process, empty)
    assert found[:2] == reference[:2] and found != reference
    assert sum(a != b for a, b in zip(found[2], reference[2])) <= 3
