# SPDX-License-Identifier: MIT
"""The compositor is killed under its guest's programs, and another one takes its place."""
import signal

import pytest

import pixels
import rig as lab
import test_pixels

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="only Causeway does that")]
SIZE = (640, 480)
# Of each toolkit one, and of each kind of state. (weston-flower and weston-subsurfaces draw something else
# each time.)
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
    for turn in range(2):
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
