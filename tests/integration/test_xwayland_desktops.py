# SPDX-License-Identifier: MIT
"""X11 programs on compositors that stack windows: what sway, which tiles them, has no use for."""
import pytest

import desktops
import rig as lab
from test_xwayland import value, wait_value, window

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about the window manager")]
MAXIMIZED = ["_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ"]
FOCUSED = ["_NET_WM_STATE_FOCUSED"]
# The host's: into the guest's log Xwayland writes as well.
TRACE = ["--trace=iface=zxdg_toplevel_decoration_v1"]


def desktop(rig, kind):
    return desktops.NestedWeston(rig, rig.sway()) if kind == "weston" else \
        {"labwc": desktops.Labwc, "kwin": desktops.Kwin}[kind](rig)


@pytest.mark.parametrize("kind", ["labwc", "kwin", "weston"])
def test_states(rig, kind):
    """Maximised, fullscreen and back to the size from before; minimised, and shown again."""
    bridge = rig.bridge(desktop(rig, kind), host_args=TRACE)
    client = rig.x_window(bridge)
    window(client, "main")
    client.expect("focused main")
    changes = {f"{MAXIMIZED[0]} {MAXIMIZED[1]}": MAXIMIZED,
               "_NET_WM_STATE_FULLSCREEN 0": ["_NET_WM_STATE_FULLSCREEN"]}
    if kind == "weston":
        # It forgets what is asked for while it waits for the picture of the last state.
        del changes["_NET_WM_STATE_FULLSCREEN 0"]
    for words, states in changes.items():
        client.send(f"message main _NET_WM_STATE 1 {words} 1")
        wait_value(client, "main", "_NET_WM_STATE", states + FOCUSED)
        lab.wait_until(lambda: int(client.ask("where main", r"at main 0 0 (\d+) \d+")[1]) > 600,
                       "it to be large")
        client.send(f"message main _NET_WM_STATE 0 {words} 1")
        wait_value(client, "main", "_NET_WM_STATE", FOCUSED)
        lab.wait_until(lambda: client.ask("where main", "at main 0 0 (.*)")[1] == "200 100",
                       "its size from before")
    if kind == "weston":
        return
    client.send("message main WM_CHANGE_STATE 3")
    lab.wait_until(lambda: value(client, "main", "WM_STATE")[:1] == ["3"], "WM_STATE to be Iconic")
    assert "_NET_WM_STATE_HIDDEN" in value(client, "main", "_NET_WM_STATE")
    if kind == "kwin":
        client.send("message main _NET_ACTIVE_WINDOW 1 0 0")
        wait_value(client, "main", "_NET_WM_STATE", FOCUSED)
        assert value(client, "main", "WM_STATE")[:1] == ["1"]
    bridge.host.expect_error(r"set_mode\(2")


def test_no_frame(rig):
    """What Motif's hints say about decorations reaches the compositor."""
    bridge = rig.bridge(desktop(rig, "labwc"), host_args=TRACE)
    client = rig.x_window(bridge)
    window(client, "bare", "204060", "0 0 200 100", None,
           "set bare _MOTIF_WM_HINTS _MOTIF_WM_HINTS 2 0 0 0 0")
    client.expect("mapped bare")
    bridge.host.expect_error(r"set_mode\(1")
    client.send("unset bare _MOTIF_WM_HINTS")
    bridge.host.expect_error(r"set_mode\(2")
