# SPDX-License-Identifier: MIT
"""Windows of X11 programs: what the compositor sees of them, and what they see of it."""
import re
import signal
import tempfile

import pytest

import rig as lab

pytestmark = [pytest.mark.timeout(120),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about the window manager")]
SIZE = (640, 480)


class Desk:
    """One compositor and one bridge for all cases of a module."""

    def __init__(self, rig, **kwargs):
        self.rig = rig
        self.sway = rig.sway(size=SIZE, config="focus_on_window_activation urgent", **kwargs)
        self.input = rig.virtual_input(self.sway.display)
        self.input.ask("keyboard us", "ok")
        self.bridge = rig.bridge(self.sway)

    def client(self):
        return self.rig.x_window(self.bridge)

    def node(self, name):
        return self.sway.nodes().get(name)

    def wait(self, name, what="to be shown", **wanted):
        """Wait until sway says this of a window; returns all it says."""
        def ready():
            node = self.node(name)
            return node if node and all(node[key] == value for key, value in wanted.items()) \
                else None
        return lab.wait_until(ready, lambda: f"{name} {what} {wanted}: {self.node(name)}")

    def wait_gone(self, name):
        lab.wait_until(lambda: self.node(name) is None, f"{name} to go")

    def pixel(self, x, y):
        width, _, data = self.sway.screenshot()
        return data[(y * width + x) * 3:][:3].hex()

    def wait_pixel(self, x, y, color):
        lab.wait_until(lambda: self.pixel(x, y) == color,
                       lambda: f"{color} at {x},{y} (is {self.pixel(x, y)})")


    def go_to(self, client, name, x, y):
        """The pointer, in two steps: to Xwayland the jump into a window is also a relative motion to come."""
        self.input.ask(f"move {x - 1} {y} 640 480", "ok")
        self.input.ask(f"move {x} {y} 640 480", "ok")
        lab.wait_until(lambda: client.ask("pointer", "pointer (.*)")[1] == name,
                       f"X's pointer to be in {name}")


@pytest.fixture(scope="module")
def desk():
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield Desk(rig)
    rig.finish()


@pytest.fixture
def client(desk):
    made = desk.client()
    yield made
    made.kill()
    lab.wait_until(lambda: not desk.sway.nodes(), "all windows to go")


def window(client, name, color="204060", place="0 0 200 100", title=None, *commands, more=""):
    """Make a window with a title, and map it."""
    client.send(f"window {name} {color} {place} {more}".rstrip())
    client.send(f"text {name} _NET_WM_NAME UTF8_STRING {title or name}")
    for command in commands:
        client.send(command)
    client.send(f"map {name}")


def value(client, name, prop):
    return client.ask(f"get {name} {prop}", rf"is {name} {prop}(.*)")[1].split()


def wait_value(client, name, prop, wanted):
    lab.wait_until(lambda: value(client, name, prop) == wanted,
                   lambda: f"{prop} of {name} to be {wanted} (is {value(client, name, prop)})")


# What a window is

def test_normal(desk, client):
    """Title, app id, size and pixels; the program learns its size."""
    window(client, "plain", "204060", "10 20 200 100", "A plain one",
           r"text plain WM_CLASS STRING instance\x00Class\x00")
    client.expect("mapped plain")
    node = desk.wait("A plain one", focused=True)
    assert node["app_id"] == "Class"
    assert (node["rect"]["width"], node["rect"]["height"]) == SIZE
    client.expect(r"configured plain 0 0 640 480")
    desk.sway.wait_colors({"A plain one": "204060"})
    client.expect("focused plain")
    assert value(client, "plain", "WM_STATE") == ["1", "0"]
    assert "_NET_WM_STATE_FOCUSED" in value(client, "plain", "_NET_WM_STATE")
    assert value(client, "ROOT", "_NET_ACTIVE_WINDOW") == ["plain"]
    assert value(client, "ROOT", "_NET_CLIENT_LIST") == ["plain"]


@pytest.mark.parametrize("prop,bytes_,title", [
    ("_NET_WM_NAME UTF8_STRING", "Größe ☃", "Größe ☃"),
    ("WM_NAME STRING", r"Gr\xf6\xdfe", "Größe"),
    ("WM_NAME UTF8_STRING", "naïve", "naïve"),
    # Latin-2 by ISO 2022: Source: the Compound Text Encoding, version 1.1.
    ("WM_NAME COMPOUND_TEXT", r"caf\xe9", "café"),
    ("WM_NAME COMPOUND_TEXT", r"\x1b%Gsnow \xe2\x98\x83\x1b%@", "snow ☃"),
    ("_NET_WM_NAME UTF8_STRING", r"bad \xff\xc3", "bad ??"),
])
def test_titles(desk, client, prop, bytes_, title):
    client.send("window t 204060 0 0 100 100")
    client.send(f"text t {prop} {bytes_}")
    client.send("map t")
    desk.wait(title)


def test_title_changes(desk, client):
    window(client, "t", title="first")
    desk.wait("first")
    client.send("text t _NET_WM_NAME UTF8_STRING second")
    desk.wait("second")
    client.send("text t WM_NAME STRING third")  # counts less
    client.send("unset t _NET_WM_NAME")
    desk.wait("third")


def test_transient(desk, client):
    """A dialog is its parent's, keeps its size, and floats."""
    window(client, "main")
    desk.wait("main", focused=True)
    window(client, "dialog", "604020", "0 0 120 80", None,
           "set dialog WM_TRANSIENT_FOR WINDOW @main")
    node = desk.wait("dialog", type="floating_con")
    assert (node["rect"]["width"], node["rect"]["height"]) == (120, 80)
    rect = node["rect"]
    desk.wait_pixel(rect["x"] + 5, rect["y"] + 5, "604020")


@pytest.mark.parametrize("kind", ["DIALOG", "UTILITY", "SPLASH"])
def test_types_that_float(desk, client, kind):
    """A window that says it is a dialog or the like belongs to its program's main window."""
    window(client, "main")
    desk.wait("main", focused=True)
    window(client, "other", "604020", "0 0 120 80", None,
           f"set other _NET_WM_WINDOW_TYPE ATOM _NET_WM_WINDOW_TYPE_{kind}")
    node = desk.wait("other", type="floating_con")
    assert (node["rect"]["width"], node["rect"]["height"]) == (120, 80)


def test_parent_that_comes_later(desk, client):
    client.send("window main 204060 0 0 200 100")
    client.send("text main _NET_WM_NAME UTF8_STRING main")
    window(client, "dialog", "604020", "0 0 120 80", None,
           "set dialog WM_TRANSIENT_FOR WINDOW @main")
    desk.wait("dialog")
    client.send("map main")
    desk.wait("main")
    # sway decides about floating once; that nobody ends is what counts.
    client.ask("sync", "synced")


def test_size_hints(desk, client):
    """A window of a fixed size floats, at that size."""
    # flags: min and max size. Source: ICCCM 4.1.2.3.
    window(client, "fixed", "204060", "0 0 150 90", None,
           "set fixed WM_NORMAL_HINTS WM_SIZE_HINTS 48 0 0 0 0 150 90 150 90 0 0 0 0 0 0 0 0 0")
    node = desk.wait("fixed", type="floating_con")
    assert (node["rect"]["width"], node["rect"]["height"]) == (150, 90)


def test_nonsense_hints(desk, client):
    """A maximum below the minimum, enormous sizes, short properties: nobody's connection ends."""
    window(client, "odd", "204060", "0 0 150 90", None,
           "set odd WM_NORMAL_HINTS WM_SIZE_HINTS 48 0 0 0 0 150 90 20 10",
           "set odd WM_HINTS WM_HINTS 1", "set odd WM_TRANSIENT_FOR WINDOW @odd",
           "set odd _NET_WM_STATE ATOM 0 7 999999", "set odd WM_PROTOCOLS ATOM 0",
           "text odd WM_CLASS STRING x", "text odd _MOTIF_WM_HINTS STRING xyz",
           "zeros odd _NET_WM_ICON CARDINAL 500",
           "set odd _NET_WM_WINDOW_TYPE ATOM 77777 _NET_WM_WINDOW_TYPE_NORMAL")
    desk.wait("odd")
    for sizes in ("-5 -5 -7 -7", "99999 99999 2147483647 2147483647", "10 10 0 0"):
        client.send(f"set odd WM_NORMAL_HINTS WM_SIZE_HINTS 48 0 0 0 0 {sizes} 0 0 0 0 0 0 0 0 0")
    client.ask("sync", "synced")
    client.send("text odd _NET_WM_NAME UTF8_STRING still there")
    desk.wait("still there")


# Menus

def test_menu(desk, client):
    """A window that places itself is shown at its place in front of its program's, and is no window of sway's."""
    window(client, "main")
    desk.wait("main", focused=True)
    desk.sway.wait_colors({"main": "204060"})
    client.expect("focused main")
    client.send("window menu 80a0c0 50 60 100 40 or")
    client.send("map menu")
    desk.wait_pixel(51, 61, "80a0c0")
    desk.wait_pixel(149, 99, "80a0c0")
    desk.wait_pixel(151, 101, "204060")
    assert list(desk.sway.windows()) == ["main"]
    client.send("window sub c0a080 150 70 60 30 or")
    client.send("map sub")
    desk.wait_pixel(205, 95, "c0a080")
    client.send("unmap sub")
    client.send("unmap menu")
    desk.wait_pixel(205, 95, "204060")
    desk.wait_pixel(51, 61, "204060")
    # And again.
    client.send("map menu")
    desk.wait_pixel(51, 61, "80a0c0")
    client.send("destroy menu")
    desk.wait_pixel(51, 61, "204060")


def test_menu_moves(desk, client):
    window(client, "main")
    desk.wait("main", focused=True)
    client.expect("focused main")
    client.send("window tip 80a0c0 50 60 100 40 or")
    client.send("map tip")
    desk.wait_pixel(51, 61, "80a0c0")
    client.send("move tip 200 160")
    desk.wait_pixel(201, 161, "80a0c0")
    desk.wait_pixel(51, 61, "204060")
    client.send("place tip 210 170 20 20")
    desk.wait_pixel(225, 185, "80a0c0")
    desk.wait_pixel(205, 165, "204060")


def test_menu_of_another_window(desk, client):
    """A menu belongs to the window that it names, also if that is not the active one."""
    window(client, "left")
    desk.wait("left", focused=True)
    window(client, "right", "402060")
    node = desk.wait("right", focused=True)
    client.expect("focused right")
    client.send("window menu 80a0c0 20 30 40 40 or")
    client.send("set menu WM_TRANSIENT_FOR WINDOW @left")
    client.send("map menu")
    assert node["rect"]["x"] == 320
    desk.wait_pixel(25, 35, "80a0c0")


def test_menu_goes_with_its_window(desk, client):
    window(client, "main")
    desk.wait("main", focused=True)
    client.expect("focused main")
    client.send("window menu 80a0c0 50 60 100 40 or")
    client.send("map menu")
    desk.wait_pixel(51, 61, "80a0c0")
    client.send("destroy main")
    desk.wait_gone("main")
    client.send("destroy menu")
    window(client, "next")
    desk.wait("next", focused=True)


def test_menu_of_nobody(desk, client):
    """Without any window to be beside, it is one of its own."""
    client.send("window alone 80a0c0 50 60 100 40 or")
    client.send("text alone _NET_WM_NAME UTF8_STRING alone")
    client.send("map alone")
    desk.wait("alone")
    client.expect("mapped alone")


# States

def test_fullscreen(desk, client):
    window(client, "main")
    desk.wait("main", focused=True)
    window(client, "second", "402060")
    desk.wait("second", focused=True)
    client.send("message second _NET_WM_STATE 1 _NET_WM_STATE_FULLSCREEN 0 1")
    desk.wait("second", fullscreen_mode=1)
    client.expect("configured second 0 0 640 480")
    desk.wait_pixel(5, 5, "402060")
    wait_value(client, "second", "_NET_WM_STATE",
               ["_NET_WM_STATE_FULLSCREEN", "_NET_WM_STATE_FOCUSED"])
    client.send("message second _NET_WM_STATE 2 _NET_WM_STATE_FULLSCREEN 0 1")
    desk.wait("second", fullscreen_mode=0)
    client.expect("configured second 0 0 320 480")
    wait_value(client, "second", "_NET_WM_STATE", ["_NET_WM_STATE_FOCUSED"])


def test_fullscreen_from_the_start(desk, client):
    window(client, "game", "402060", "0 0 100 100", None,
           "set game _NET_WM_STATE ATOM _NET_WM_STATE_FULLSCREEN")
    desk.wait("game", fullscreen_mode=1)
    client.expect("configured game 0 0 640 480")


def test_fullscreen_by_the_compositor(desk, client):
    window(client, "main")
    desk.wait("main", focused=True)
    desk.sway.run("fullscreen enable")
    wait_value(client, "main", "_NET_WM_STATE",
               ["_NET_WM_STATE_FULLSCREEN", "_NET_WM_STATE_FOCUSED"])
    desk.sway.run("fullscreen disable")
    wait_value(client, "main", "_NET_WM_STATE", ["_NET_WM_STATE_FOCUSED"])


def test_urgent(desk, client):
    """By WM_HINTS, by _NET_WM_STATE, and a wish to be active: the window is marked, not given the focus."""
    window(client, "other")
    desk.wait("other")
    window(client, "main")
    desk.wait("main", focused=True)
    asks = {
        "set other WM_HINTS WM_HINTS 256 0 0 0 0 0 0 0 0": "set other WM_HINTS WM_HINTS 0 0 0 0 0 0 0 0 0",
        "message other _NET_WM_STATE 1 _NET_WM_STATE_DEMANDS_ATTENTION 0 1": "sync",
        "message other _NET_ACTIVE_WINDOW 1 0 0": "sync",
    }
    for ask, undo in asks.items():
        client.send(ask)
        desk.wait("other", urgent=True)
        client.send(undo)
        desk.sway.run('[title="^other$"] focus')
        desk.wait("other", urgent=False, focused=True)
        desk.sway.run('[title="^main$"] focus')
        desk.wait("main", focused=True)


# Geometry

def test_a_program_that_resizes_itself(desk, client):
    """A floating window has the size that its program asks for."""
    window(client, "main")
    desk.wait("main", focused=True)
    window(client, "dialog", "604020", "0 0 120 80", None,
           "set dialog WM_TRANSIENT_FOR WINDOW @main")
    desk.wait("dialog", type="floating_con")
    client.send("size dialog 200 150")
    lab.wait_until(lambda: (desk.node("dialog")["rect"]["width"],
                            desk.node("dialog")["rect"]["height"]) == (200, 150),
                   lambda: f"its size: {desk.node('dialog')}")
    client.expect(r"configured dialog \S+ \S+ 200 150")


def test_a_tile_keeps_its_size(desk, client):
    """What sway tiles has its tile's size, and the program is told so."""
    window(client, "main")
    client.expect("configured main 0 0 640 480")
    client.ask("size main 100 100", "configured main 0 0 640 480")
    client.ask("where main", "at main 0 0 640 480")


def test_resized_by_the_compositor(desk, client):
    window(client, "main")
    client.expect("configured main 0 0 640 480")
    window(client, "second", "402060")
    client.expect("configured (main|second) 0 0 320 480")
    client.expect("configured (main|second) 0 0 320 480")
    desk.sway.wait_colors({"main": "204060", "second": "402060"})
    client.ask("destroy second", "configured main 0 0 640 480")
    desk.sway.wait_colors({"main": "204060"})


def test_moved_by_its_program(desk, client):
    """A window can't choose its place; its program hears so. Source: ICCCM 4.1.5."""
    window(client, "main")
    client.expect("configured main 0 0 640 480")
    client.ask("move main 77 88", "configured main 0 0 640 480")


# Focus

def test_focus_follows_the_compositor(desk, client):
    window(client, "one")
    client.expect("focused one")
    window(client, "two", "402060")
    client.expect("unfocused one")
    client.expect("focused two")
    desk.sway.focus(client, "one")
    client.expect("focused one")
    desk.input.ask("key 30", "ok")
    client.expect("key one 38")
    desk.sway.focus(client, "two")
    client.expect("focused two")
    desk.input.ask("key 30", "ok")
    client.expect("key two 38")
    wait_value(client, "ROOT", "_NET_ACTIVE_WINDOW", ["two"])


def test_focus_leaves_x(desk, client):
    """A Wayland program's window takes the keyboard: no X window is active."""
    window(client, "one")
    client.expect("focused one")
    probe = desk.rig.probe(desk.bridge.display, "wayland", window=True)
    client.expect("unfocused one")
    wait_value(client, "ROOT", "_NET_ACTIVE_WINDOW", ["-"])
    probe.send("quit")
    client.expect("focused one")


@pytest.mark.parametrize("hint,takes,got", [
    # ICCCM 4.1.7: passive, locally active, globally active, no input.
    (1, False, ["focused in"]),
    (1, True, ["message in WM_TAKE_FOCUS", "focused in"]),
    (0, True, ["message in WM_TAKE_FOCUS"]),
    (0, False, []),
])
def test_input_models(desk, client, hint, takes, got):
    more = ["set in WM_PROTOCOLS ATOM WM_TAKE_FOCUS"] if takes else []
    window(client, "in", "204060", "0 0 100 100", None,
           f"set in WM_HINTS WM_HINTS 1 {hint} 1 0 0 0 0 0 0", *more)
    desk.wait("in", focused=True)
    wait_value(client, "ROOT", "_NET_ACTIVE_WINDOW", ["in"])
    client.send("text in _NET_WM_NAME UTF8_STRING done")
    desk.wait("done")
    client.ask("sync", "synced")
    said = [line for line in client.lines if re.fullmatch("(message|focused) in.*", line)]
    assert sorted(said) == sorted(got)


def test_focus_is_not_stolen(desk, client):
    """A program can't take the keyboard from another one's active window."""
    window(client, "mine")
    client.expect("focused mine")
    thief = desk.client()
    window(thief, "theirs", "402060")
    thief.expect("focused theirs")
    desk.sway.focus(client, "mine")
    client.expect("focused mine")
    thief.send("take theirs")
    thief.ask("sync", "synced")
    lab.wait_until(lambda: client.lines.count("focused mine") >= 3 or None,
                   lambda: f"the focus to come back: {client.lines[-5:]}")
    desk.input.ask("key 30", "ok")
    client.expect("key mine 38")
    thief.kill()
    desk.wait_gone("theirs")


def test_pointer(desk, client):
    """Clicks go to the window that is seen there, though all are at the same place in X."""
    window(client, "left")
    desk.wait("left", focused=True)
    window(client, "right", "402060")
    desk.wait("right", focused=True)
    desk.sway.wait_colors({"left": "204060", "right": "402060"})
    desk.go_to(client, "left", 10, 20)
    desk.input.ask("press", "ok")
    client.expect("press left 10 20")
    desk.input.ask("release", "ok")
    desk.go_to(client, "right", 330, 40)
    desk.input.ask("press", "ok")
    client.expect("press right 10 40")
    desk.input.ask("release", "ok")


def test_moved_and_resized_by_the_user(desk, client):
    """A program that draws its own title bar hands the pointer's button over. Source: _NET_WM_MOVERESIZE."""
    window(client, "main")
    desk.wait("main", focused=True)
    window(client, "dialog", "604020", "0 0 120 80", None,
           "set dialog WM_TRANSIENT_FOR WINDOW @main")
    rect = desk.wait("dialog", type="floating_con")["rect"]
    desk.wait_pixel(rect["x"] + 5, rect["y"] + 5, "604020")
    x, y = rect["x"] + 10, rect["y"] + 10
    desk.go_to(client, "dialog", x, y)
    desk.input.ask("press", "ok")
    client.expect("press dialog 10 10")
    client.send(f"message dialog _NET_WM_MOVERESIZE {x} {y} 8 1 1")
    client.ask("sync", "synced")
    # The request is on its way: sway has it once it answers the program about something later.
    client.send("text dialog _NET_WM_NAME UTF8_STRING moving")
    desk.wait("moving")
    desk.input.ask(f"move {x + 30} {y + 40} 640 480", "ok")
    lab.wait_until(lambda: desk.node("moving")["rect"]["x"] == rect["x"] + 30,
                   lambda: f"the dialog to move from {rect}: {desk.node('moving')['rect']}")
    desk.input.ask("release", "ok")
    x, y = x + 30 + 105, y + 40 + 65
    desk.go_to(client, "dialog", x, y)
    desk.input.ask("press", "ok")
    client.expect("press dialog 115 75")
    client.send(f"message dialog _NET_WM_MOVERESIZE {x} {y} 4 1 1")
    client.ask("sync", "synced")
    client.send("text dialog _NET_WM_NAME UTF8_STRING resizing")
    desk.wait("resizing")
    desk.input.ask(f"move {x + 20} {y + 10} 640 480", "ok")
    client.expect(r"configured dialog \S+ \S+ 140 90")
    desk.input.ask("release", "ok")


# Ends

def test_close(desk, client):
    """sway's close: WM_DELETE_WINDOW where it is known; else the program ends."""
    window(client, "asks", "204060", "0 0 100 100", None,
           "set asks WM_PROTOCOLS ATOM WM_DELETE_WINDOW")
    desk.wait("asks")
    desk.sway.run('[title="^asks$"] kill')
    client.expect("message asks WM_DELETE_WINDOW")
    client.send("set asks WM_PROTOCOLS ATOM WM_TAKE_FOCUS")
    client.send("text asks _NET_WM_NAME UTF8_STRING rude")
    desk.wait("rude")
    desk.sway.run('[title="^rude$"] kill')
    client.expect("closed")
    desk.wait_gone("rude")


def test_close_asked_by_another(desk, client):
    window(client, "asks", "204060", "0 0 100 100", None,
           "set asks WM_PROTOCOLS ATOM WM_DELETE_WINDOW")
    desk.wait("asks")
    client.ask("message asks _NET_CLOSE_WINDOW 0 0", "message asks WM_DELETE_WINDOW")


def test_unmap_and_map(desk, client):
    window(client, "main")
    desk.wait("main")
    client.send("withdraw main")
    desk.wait_gone("main")
    wait_value(client, "main", "WM_STATE", [])
    wait_value(client, "ROOT", "_NET_CLIENT_LIST", [])
    client.send("map main")
    desk.wait("main")
    wait_value(client, "main", "WM_STATE", ["1", "0"])
    desk.sway.wait_colors({"main": "204060"})


def test_a_storm_of_windows(desk, client):
    """Made, mapped, unmapped and destroyed in all orders."""
    for turn in range(30):
        client.send(f"window w{turn} 204060 0 0 40 40{' or' if turn % 3 == 0 else ''}")
        client.send(f"map w{turn}")
        if turn % 2:
            client.send(f"unmap w{turn}")
        if turn % 5 == 0:
            client.send(f"destroy w{turn}")
    client.ask("sync", "synced")
    window(client, "last")
    desk.wait("last")


# What the window manager says of itself

def test_supported(desk, client):
    window(client, "main")
    desk.wait("main")
    supported = value(client, "ROOT", "_NET_SUPPORTED")
    assert len(supported) == len(set(supported)) > 20
    assert "_NET_WM_MOVERESIZE" in supported
    assert value(client, "ROOT", "_NET_SUPPORTING_WM_CHECK") != []
    assert value(client, "ROOT", "_NET_NUMBER_OF_DESKTOPS") == ["1"]
    assert value(client, "main", "_NET_FRAME_EXTENTS") == ["0", "0", "0", "0"]


# The X server

def x_server(bridge):
    done = lab.subprocess.run(["pgrep", "-P", str(bridge.guest.pid), "Xwayland"], text=True,
                              capture_output=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def test_x_server_killed(rig):
    """X programs end with their server, Wayland programs don't, and the next X program has a new one."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    bridge.x_display()
    assert x_server(bridge) == [], "started though nobody has asked for it"
    wayland = rig.probe(bridge.display, "wayland", window=True)
    for turn in range(2):
        client = rig.x_window(bridge)
        window(client, f"turn{turn}")
        lab.wait_until(lambda: f"turn{turn}" in sway.windows(), "the window")
        pids = x_server(bridge)
        assert len(pids) == 1
        lab.os.kill(pids[0], signal.SIGKILL)
        client.expect("closed")
        assert client.wait() == 3
        lab.wait_until(lambda: f"turn{turn}" not in sway.windows(), "the window to go")
        wayland.ask("sync", "synced")
    bridge.guest.expect_error("Xwayland has ended")


def test_x_server_ends_with_its_last_program(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    for _ in range(2):
        client = rig.x_window(bridge)
        window(client, "only")
        lab.wait_until(lambda: "only" in sway.windows(), "the window")
        client.send("quit")
        lab.wait_until(lambda: not x_server(bridge), "Xwayland to end")


def test_off(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, guest_args=["--xwayland", "off"])
    probe = rig.probe(bridge.display, "wayland", window=True)
    probe.ask("sync", "synced")
    assert not any("X11" in line for line in bridge.guest.errors)
