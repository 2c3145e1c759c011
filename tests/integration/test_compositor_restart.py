# SPDX-License-Identifier: MIT
"""The compositor is killed under its guest's programs, and another one takes its place."""
import contextlib
import signal
import socket

import pytest

import pixels
import rig as lab
import test_copies
import test_pixels
import wire

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="only Causeway does that")]
SIZE = (640, 480)
# Of each toolkit one, and of each kind of state. (The frozen ones draw a frame more for another
# compositor.)
PROGRAMS = {name: test_pixels.BY_NAME[name] for name in (
    "foot", "gtk4-demo", "gtk4-text", "qt6-featherpad", "sdl3-yuv", "weston-transformed",
    "weston-scaler", "shm-paint-viewport", "shm-paint-scaled", "shm-paint-transform-3",
    "shm-paint-larger-than-the-output")}


def kill(compositor):
    """End it without a word."""
    compositor.process.popen.send_signal(signal.SIGKILL)
    compositor.process.wait()


def restart(compositor):
    """The same again, at the same place; a weston's size and renderer are the usual ones."""
    kill(compositor)
    if isinstance(compositor, pixels.Weston):
        return pixels.Weston(compositor.rig, display=compositor.display)
    again = compositor.rig.sway(size=compositor.size)
    assert again.display == compositor.display, "the new compositor has another name"
    return again


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_pictures(rig, name):
    """A program's picture is the same, byte for byte, on the second compositor and on the third."""
    client = PROGRAMS[name]
    compositor = pixels.COMPOSITORS[client.compositor](rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor)
    process = pixels.start_client(rig, client, bridge.display)
    wanted = pixels.settled(compositor, process, empty)
    for turn in range(2):
        compositor = restart(compositor)
        pixels.wait_same(compositor, process, wanted, f"restart-{name}-{turn}")
    process.stop()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")


def test_window_and_input(rig):
    """Its pixels are there again without its doing; it paints, types and copies as before."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    clients = {name: rig.probe(bridge.display, name, color, window=True)
               for name, color in (("one", "c08040"), ("two", "4080c0"))}
    colors = {"one": "c08040", "two": "4080c0"}
    for name, color in colors.items():
        clients[name].ask(f"color {color}", f"painted {color}")
    sway.wait_colors(colors)
    fds = []
    for turn in range(3):
        sway = restart(sway)
        sway.wait_colors(colors)
        device = rig.virtual_input(sway.display)
        device.ask("keyboard us", "ok")
        for name, color in (("one", f"00ff{turn:02x}"), ("two", f"ff00{turn:02x}")):
            clients[name].ask(f"color {color}", f"painted {color}")
            colors[name] = color
            clients[name].mark()
            sway.run(f'[title="^{name}$"] focus')
            lab.wait_until(lambda: focused(sway) == name, "the focus")
            device.ask("key 30", "ok")
            clients[name].expect("key 30 1")
            clients[name].expect("key 30 0")
        sway.wait_colors(colors)
        fds.append(lab.counts(bridge.host)[0])
    # Of each window, the file of what it shows, and perhaps of what it showed before.
    lab.wait_until(lambda: lab.counts(bridge.host)[0] <= fds[0] + 2,
                   lambda: f"files of earlier compositors to be closed: {fds}")
    for client in clients.values():
        client.send("quit")
        assert client.wait() == 0


def focused(sway):
    """Title of the window that has the keyboard."""
    queue = [sway.ipc("", 4)]
    while queue:
        node = queue.pop()
        queue.extend(node["nodes"] + node["floating_nodes"])
        if node["focused"]:
            return node["name"]
    return None


def test_terminal(rig):
    """What is typed into foot reaches the shell that ran before."""
    def prepare(home):
        (home / "foot.ini").write_text("[csd]\npreferred=none\n")
        script = home / "shell"
        script.write_text(f"#!/bin/sh\nexec cat >> {rig.dir}/typed\n")
        script.chmod(0o755)
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    process = pixels.start_client(rig, pixels.Client(
        "foot", ["foot", "--config=@HOME@/foot.ini", "@HOME@/shell"], prepare=prepare),
        bridge.display)
    typed = rig.dir / "typed"
    for turn in range(2):
        if turn:
            sway = restart(sway)
        device = rig.virtual_input(sway.display)
        device.ask("keyboard us", "ok")
        lab.wait_until(lambda: focused(sway), "foot to have the focus")
        lab.wait_until(typed.exists, "the shell")
        before = len(typed.read_text())

        def arrives():
            """Nothing tells when foot listens to the new keyboard: the first keys may be lost."""
            for key in (30, 48, 28):  # a, b, Enter
                device.ask(f"key {key}", "ok")
            return "ab" in typed.read_text()[before:].splitlines()
        lab.wait_until(arrives, "what was typed")
    assert process.running()


@pytest.mark.parametrize("kind", ["weston", "sway"])
def test_video(rig, kind):
    """A program that draws without a pause goes on."""
    compositor = pixels.COMPOSITORS[kind](rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor)
    process = rig.start(["weston-simple-shm"], dict(rig.env, WAYLAND_DISPLAY=bridge.display))

    def moves():
        """Its second picture is another one."""
        first = compositor.screenshot()
        return first != empty and compositor.screenshot() != first
    lab.wait_until(moves, "the first frames")
    for _ in range(2):
        compositor = restart(compositor)
        lab.wait_until(moves, "more frames")
        assert process.running(), process.errors


def test_dmabuf(rig):
    """A buffer of linux-dmabuf, imported again."""
    shape = ["--size", "333x217", "--frames", "5"]
    compositor = pixels.Weston(rig, renderer="gl")
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor)
    client = pixels.Client("dmabuf-paint", [lab.program("dmabuf-paint"), "udmabuf", "immed", "3", *shape],
                           env=lab.with_dmabufs({}), says="frame 5")
    process = pixels.start_client(rig, client, bridge.display)
    wanted = pixels.settled(compositor, process, empty)
    frames = test_copies.stats(bridge.host)["dmabuf_frames"]
    assert frames > 0
    kill(compositor)
    compositor = pixels.Weston(rig, renderer="gl", display=compositor.display)
    pixels.wait_same(compositor, process, wanted, "restart-dmabuf")


def test_what_cannot_be_moved(rig):
    """One line says which program ends, and why; the others go on."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, host_args=["--allow", "ext_session_lock_manager_v1",
                                        "--security-context", "off"])
    stays = rig.probe(bridge.display, "stays", "c08040", window=True)
    ends = wire.Client(str(rig.dir / bridge.display)).start()
    ends.bind("ext_session_lock_manager_v1", 1)
    ends.sync()
    sway = restart(sway)
    with pytest.raises(wire.Lost):
        while True:
            ends.read(lab.DEADLINE)
    stays.ask("color 00ff00", "painted 00ff00")
    sway.wait_colors({"stays": "00ff00"})
    bridge.host.expect_error(r"client=\d+ ends with its compositor: .*ext_session_lock_manager_v1")
    lines = [line for line in bridge.host.errors if "ends with its compositor" in line]
    assert len(lines) == 1, lines


def test_no_other_compositor(rig):
    """The wait has an end."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, host_args=["--compositor-wait", "1"])
    client = rig.probe(bridge.display, "client", window=True)
    kill(sway)
    client.expect(r"closed .*")
    assert client.wait() == 3
    bridge.host.expect_error(r"client=\d+ ends: no compositor has come in time")
    again = rig.sway(size=SIZE)
    late = rig.probe(bridge.display, "late", "c08040", window=True)
    late.ask("color c08040", "painted c08040")
    again.wait_colors({"late": "c08040"})


def test_compositors_that_fail(rig):
    """One that hangs up, one that dies in the middle, and then a good one; a program that floods meanwhile."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    client = rig.probe(bridge.display, "client", "c08040", window=True)
    client.ask("color c08040", "painted c08040")
    flood = wire.Client(str(rig.dir / bridge.display)).start()
    compositor = flood.bind("wl_compositor", 4)
    region = flood.new()
    flood.send(wire.message(compositor, 1, wire.u32(region)))
    flood.sync()
    kill(sway)
    path = rig.dir / sway.display
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for _ in range(3):
            listener.settimeout(lab.DEADLINE)
            listener.accept()[0].close()
            path.touch()  # a change of the file is as good as a new one
    memory = lab.counts(bridge.host)[1]
    flood.sock.setblocking(False)
    sent = 0
    add = wire.message(region, 1, wire.u32(0, 0, 1, 1)) * 1000
    with contextlib.suppress(BlockingIOError):
        while sent < 64 << 20:
            sent += flood.sock.send(add)
    assert sent < 64 << 20, "somebody takes it all"
    if not lab.sanitized():
        assert lab.counts(bridge.host)[1] - memory < 16 << 10
    again = rig.sway(size=SIZE)
    assert again.display == sway.display
    again.wait_colors({"client": "c08040"})
    client.ask("color 00ff00", "painted 00ff00")
    again.wait_colors({"client": "00ff00"})


def test_x11(rig):
    """Xwayland is a program as others are: X programs don't notice."""
    sway = pixels.painted_sway(rig)
    empty = sway.screenshot()
    bridge = rig.bridge(sway)
    display = bridge.guest.expect_error(r"X11 programs: display (:\d+)")[1]
    process = pixels.start_client(rig, pixels.Client(
        "xterm", ["xterm", "-cr", "black", "-e", "sleep", "infinity"], env={"DISPLAY": display}),
        bridge.display)
    wanted = pixels.settled(sway, process, empty)
    for turn in range(2):
        sway = restart(sway)
        pixels.wait_same(sway, process, wanted, f"restart-xterm-{turn}")
        assert sway.windows().keys() == {"sleep"}
