# SPDX-License-Identifier: MIT
"""The compositor is killed under its guest's programs, and another one takes its place."""
import signal

import pytest

import pixels
import rig as lab

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="only Causeway does that")]
SIZE = (640, 480)


def kill(compositor):
    """End it without a word."""
    compositor.process.popen.send_signal(signal.SIGKILL)
    compositor.process.wait()


def restart_sway(rig, sway, **more):
    """The same again, at the same place."""
    kill(sway)
    again = rig.sway(size=SIZE, **more)
    assert again.display == sway.display, "the new compositor has another name"
    return again


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
        sway = restart_sway(rig, sway)
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
