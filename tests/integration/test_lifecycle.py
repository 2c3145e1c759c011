# SPDX-License-Identifier: MIT
"""Seats, keymaps and outputs that come and go; ends and new starts; options and systemd."""
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import rig as lab
import wire

pytestmark = pytest.mark.timeout(180)
SIZE = (640, 480)
bridge_only = pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about the programs themselves")


def lines_of(client, *starts):
    client.ask("sync", "synced")
    with client.changed:
        return [line for line in client.lines if line.split()[0] in starts]


# Seats and keymaps

def test_keymap_and_keys(rig):
    """The keymap is the direct one's bytes, for each layout, and keys arrive."""
    sway = rig.sway(size=SIZE)
    device = rig.virtual_input(sway.display)
    device.ask("keyboard us", "ok")
    bridge = rig.bridge(sway)
    direct = rig.probe(sway.display, "direct", window=True)
    guest = rig.probe(bridge.display, "guest", window=True)
    guest.expect("focused")
    seen = set()
    for layout in ("us", "de", "gr"):
        guest.mark()
        device.ask(f"keyboard {layout}", "ok")
        device.ask("key 30", "ok")
        guest.expect("key 30 1")
        guest.expect("key 30 0")
        sway.run('[title="direct"] focus')
        direct.mark()
        device.ask("key 30", "ok")
        direct.expect("key 30 1")
        sway.focus(guest, "guest")
        guest.expect("focused")
        keymaps = [lines_of(client, "keymap")[-1] for client in (direct, guest)]
        assert keymaps[0] == keymaps[1]
        assert re.fullmatch(r"keymap 1 \d{4,} [0-9a-f]{64}", keymaps[0])
        seen.add(keymaps[0])
    assert len(seen) == 3, "the layouts' keymaps are not different"
    assert lines_of(direct, "repeat") == lines_of(guest, "repeat") != []


def test_modifiers(rig):
    sway = rig.sway(size=SIZE)
    device = rig.virtual_input(sway.display)
    device.ask("keyboard us", "ok")
    bridge = rig.bridge(sway)
    guest = rig.probe(bridge.display, "guest", window=True)
    guest.expect("focused")
    for code in (30, 57, 103, 240):
        guest.mark()
        device.ask(f"key {code}", "ok")
        guest.expect(f"key {code} 1")
        guest.expect(f"key {code} 0")


def test_two_seats(rig):
    sway = rig.sway(size=SIZE, config="seat second fallback false\nseat second hide_cursor 0\n")
    first, second = rig.virtual_input(sway.display, "seat0"), None
    first.ask("keyboard us", "ok")
    bridge = rig.bridge(sway)
    direct = rig.probe(sway.display, "direct")
    assert {"seat-name seat0", "seat-name second"} <= set(lines_of(direct, "seat-name"))
    guest = rig.probe(bridge.display, "guest")
    for client in (direct, guest):
        client.found = sorted(lines_of(client, "seat-name", "seat-capabilities"))
        client.seats = [line.split()[2:] for line in lines_of(client, "global")
                        if line.split()[2] == "wl_seat"]
    assert guest.found == direct.found and guest.seats == direct.seats and len(guest.seats) == 2
    # Each seat's keys come to the client that listens to that seat.
    second = rig.virtual_input(sway.display, "second")
    second.ask("keyboard de", "ok")
    one = rig.probe(bridge.display, "one", "ff0000", "seat0", window=True)
    one.expect("focused")
    two = rig.probe(bridge.display, "two", "00ff00", "second", window=True)
    two.expect("focused")
    sway.run('[title="one"] focus')
    for device, client, code in ((first, one, 30), (second, two, 31)):
        device.ask(f"key {code}", "ok")
        client.expect(f"key {code} 1")
    for client in (one, two):
        client.ask("sync", "synced")
    assert not one.seen("key 31 1") and not two.seen("key 30 1")
    keymaps = [lines_of(client, "keymap")[-1] for client in (one, two)]
    assert keymaps[0] != keymaps[1], "the second seat's keyboard has the first one's keymap"


def test_seat_comes_later(rig):
    """A seat that is made while the client is connected."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    clients = [rig.probe(sway.display, "direct"), rig.probe(bridge.display, "guest")]
    for client in clients:
        client.mark()
    sway.run("seat late fallback false")
    sway.run("seat late hide_cursor 0")
    for client in clients:
        client.expect(r"global \d+ wl_seat \d+")
        client.expect("seat-name late")


# Outputs

def test_output_hot_plug(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    clients = [rig.probe(sway.display, "direct"), rig.probe(bridge.display, "guest", window=True)]
    for turn in range(3):
        for client in clients:
            client.mark()
        sway.run("create_output")
        names = [o["name"] for o in sway.ipc("", 3)]
        new = sorted(names)[-1]
        found = []
        for client in clients:
            name = client.expect(r"global (\d+) wl_output (\d+)")
            client.expect(f"output-name {new}")
            client.expect("output-done")
            found.append(name[2])
        assert found[0] == found[1], "versions"
        # The first client's line tells the global's number for each.
        numbers = [lines_of(c, "global") for c in clients]
        numbers = [[line.split()[1] for line in lines if line.split()[2] == "wl_output"][-1]
                   for lines in numbers]
        for client in clients:
            client.mark()
        sway.run(f"output {new} unplug")
        for client, number in zip(clients, numbers):
            client.expect(f"global-remove {number}")
            client.ask("sync", "synced")
    guest = clients[1]
    guest.ask("color 00ff88", "painted 00ff88")
    sway.wait_colors({"guest": "00ff88"})


def test_bind_of_a_removed_output(rig):
    """A bind that crosses the global_remove is no error of the client's."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    sway.run("create_output")
    client = wire.Client(str(rig.dir / bridge.display)).start()
    sway.run("output HEADLESS-2 unplug")
    # Not read yet: the client binds what it knows.
    output = client.bind("wl_output", 4)
    client.send(wire.message(output, 0))  # wl_output.release
    client.sync()
    assert client.error is None
    client.close()


def test_output_modes(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    clients = [rig.probe(sway.display, "direct"), rig.probe(bridge.display, "guest")]
    for client in clients:
        client.mark()
    sway.run("output HEADLESS-1 resolution 800x600 position 10 20")
    for client in clients:
        client.expect("output-mode 800 600")
        client.expect("output-done")
    assert lines_of(clients[0], "output-mode", "output-geometry", "output-name") == \
        lines_of(clients[1], "output-mode", "output-geometry", "output-name")


# Ends and new starts

def guest_works(rig, bridge, sway, name):
    client = rig.probe(bridge.display, name, "c08040", window=True)
    client.ask("color c08040", "painted c08040")
    sway.wait_colors({name: "c08040"})
    client.send("quit")
    assert client.wait() == 0


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_compositor_ends(rig, how):
    """Programs end with it, if they are not to wait for another one."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, host_args=["--compositor-wait", "0"])
    clients = [rig.probe(bridge.display, f"client{i}", window=True) for i in range(3)]
    if how == "exit":
        sway.process.popen.terminate()
    else:
        sway.process.popen.send_signal(signal.SIGKILL)
    sway.process.wait()
    for client in clients:
        client.expect(r"closed .*", 5)
        assert client.wait(5) == 3
    for process in bridge.processes():
        assert process.running(), process.errors[-10:]
    # No compositor: a new client learns so soon, instead of waiting.
    late = rig.start([lab.program("probe"), "late"], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
    late.expect(r"closed .*|no-display .*", 5)
    assert late.wait(5) in (3, 4)
    again = rig.sway(size=SIZE)
    assert again.display == sway.display, "the new compositor has another name"
    guest_works(rig, bridge, again, "after")
    for process in bridge.processes():
        assert process.running(), process.errors[-10:]


@bridge_only
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_host_restarts(rig, how):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    clients = [rig.probe(bridge.display, f"client{i}", window=True) for i in range(3)]
    fds = lab.counts(bridge.guest)[0]
    bridge.host.popen.send_signal(how)
    assert bridge.host.wait(5) == (0 if how == signal.SIGTERM else -9)
    for client in clients:
        client.expect(r"closed .*", 5)
        assert client.wait(5) == 3
    lab.wait_until(lambda: not sway.windows(), "the windows to go")
    late = rig.start([lab.program("probe"), "late"], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
    late.expect(r"closed .*|no-display .*", 5)
    assert late.wait(5) in (3, 4)
    assert bridge.guest.running(), bridge.guest.errors[-10:]
    for _ in range(2):
        bridge.start_host()
        guest_works(rig, bridge, sway, "after")
        if _ == 0:
            bridge.host.popen.send_signal(signal.SIGKILL)
            bridge.host.wait()
    assert bridge.guest.running(), bridge.guest.errors[-10:]
    lab.wait_until(lambda: lab.counts(bridge.guest)[0] <= fds, "the proxy's fds to be closed")


@bridge_only
def test_proxy_ends(rig):
    """SIGTERM: status 0, its clients are closed, its socket and lock are gone, the host stays."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    client = rig.probe(bridge.display, "client", window=True)
    fds = lab.counts(bridge.host)[0]
    assert bridge.guest.stop(5) == 0
    client.expect(r"closed .*", 5)
    assert not [name for name in os.listdir(rig.dir) if name.startswith(bridge.display)]
    lab.wait_until(lambda: not sway.windows(), "the window to go")
    lab.wait_until(lambda: lab.counts(bridge.host)[0] < fds, "the host's fds to be closed")
    bridge.start_guest()
    guest_works(rig, bridge, sway, "after")
    assert bridge.host.stop(5) == 0
    assert not os.path.exists(bridge.socket), "the host left its socket behind"


# Trace

@bridge_only
def test_trace(rig):
    """A line for each message, the same message on both sides, filtered by interface, client."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, guest_args=["--trace=iface=xdg_toplevel,iface=wl_surface"],
                        host_args=["--trace=iface=xdg_toplevel,iface=wl_surface"])
    client = rig.start([lab.program("probe"), "traced"],
                       dict(rig.env, WAYLAND_DISPLAY=bridge.display, WAYLAND_DEBUG="1"))
    client.expect("ready")
    client.send("window")
    client.expect("mapped .*")
    client.ask("sync", "synced")
    client.send("quit")
    assert client.wait() == 0
    lab.wait_until(lambda: not sway.windows(), "the window to go")
    line = re.compile(r"\[ *[\d.]+\] client=(\d+) (->|<-) (\w+)[@#](\d+)\.(\w+)\((.*)\).*")
    said = {}
    for process in bridge.processes():
        traced = [line.fullmatch(text) for text in process.errors if text.startswith("[")]
        assert all(traced), [t for t in process.errors if t.startswith("[")][:5]
        assert traced and {m[3] for m in traced} <= {"xdg_toplevel", "wl_surface"}, process.name
        said[process.name] = [(m[2], m[3], m[5]) for m in traced]
    for way in ("->", "<-"):
        guest, host = ([entry for entry in said[p.name] if entry[0] == way]
                       for p in bridge.processes())
        # An event that was on its way when the client left is the host's only.
        assert guest == (host if way == "->" else host[:len(guest)]) and guest
    # What the client itself says it sent (-> in its own trace) is there, in the same order.
    own = [re.search(r"-> (?:\w+ )?(xdg_toplevel|wl_surface)[@#]\d+\.(\w+)\(", text)
           for text in client.errors]
    own = [("->", m[1], m[2]) for m in own if m]
    assert [entry for entry in said["causeway-guest"] if entry[0] == "->"] == own
    assert ("->", "xdg_toplevel", "set_app_id") in own


@bridge_only
def test_trace_of_one_client(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway, guest_args=["--trace=client=2"])
    for name in ("one", "two", "three"):
        client = rig.probe(bridge.display, name)
        client.ask("sync", "synced")
        client.send("quit")
        assert client.wait() == 0
    bridge.guest.stop()
    bridge.guest.wait()
    traced = [text for text in bridge.guest.errors if text.startswith("[")]
    assert traced and all(" client=2 " in text for text in traced)


# The programs

def run(argv, env, **kwargs):
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=lab.DEADLINE,
                          **kwargs)


@bridge_only
def test_app_status(rig):
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    guest = [lab.program("causeway-guest"), "--transport", f"socket:{bridge.socket}", "--"]
    cases = [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137),
             (["/nonexistent/app"], 127), (["/dev/null"], 126)]
    for app, status in cases:
        done = run(guest + app, rig.env)
        assert done.returncode == status, (app, done)
    # It has a display of its own, and what it sent last arrives.
    done = run(guest + ["sh", "-c", "echo $WAYLAND_DISPLAY; exec wayland-info"], rig.env)
    assert done.returncode == 0 and "wl_compositor" in done.stdout
    assert done.stdout.splitlines()[0] not in ("", sway.display, bridge.display)
    # A signal to the proxy ends the app, and the status says so.
    proxy = rig.start(guest + ["sh", "-c", "echo up; exec sleep 1000"])
    proxy.may_fail = True
    proxy.expect("up")
    proxy.popen.terminate()
    assert proxy.wait(5) == 128 + signal.SIGTERM


@bridge_only
@pytest.mark.parametrize("name", ["causeway-guest", "causeway-host"])
def test_help_and_version(rig, name):
    done = run([lab.program(name), "--version"], rig.env)
    assert done.returncode == 0 and re.fullmatch(rf"{name} \d+\.\d+\.\d+\n", done.stdout)
    done = run([lab.program(name), "--help"], rig.env)
    assert done.returncode == 0 and done.stderr == ""
    for option in ("--socket", "--trace", "--check", "--help", "--version", "--stats"):
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    for wrong in (["--nonsense"], ["--trace=client=x"], ["--trace=iface=wl_nonsense"]):
        done = run([lab.program(name), *wrong], rig.env)
        assert done.returncode == 2 and done.stderr != "" and done.stdout == "", (wrong, done)


@bridge_only
def test_check(rig):
    """Everything is there: 0. Something is missing: 1, and it is named with the way to get it."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    env = dict(rig.env, WAYLAND_DISPLAY=sway.display)
    guest, host = lab.program("causeway-guest"), lab.program("causeway-host")
    done = run([guest, "--transport", f"socket:{bridge.socket}", "--check"], rig.env)
    assert done.returncode == 0 and "missing" not in done.stdout, done
    done = run([host, "--check", "--socket", str(rig.dir / "check.sock")], env)
    assert done.returncode == 0 and not re.search("^missing", done.stdout, re.M), done
    done = run([guest, "--transport", "socket:/nonexistent/socket", "--check"], rig.env)
    assert done.returncode == 1 and "/nonexistent/socket" in done.stdout, done
    assert "causeway-host" in done.stdout
    done = run([host, "--check", "--wayland-display", "nonexistent"], env)
    assert done.returncode == 1 and "nonexistent" in done.stdout, done
    # A check disturbs nobody.
    guest_works(rig, bridge, sway, "after")


@bridge_only
def test_socket_modes(rig):
    sway = rig.sway(size=SIZE)
    old = os.umask(0)
    try:
        bridge = rig.bridge(sway)
    finally:
        os.umask(old)
    for path in (bridge.socket, rig.dir / bridge.display):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
    # A second host or proxy does not take a name that is in use.
    done = run([lab.program("causeway-host"), "--socket", bridge.socket],
               dict(rig.env, WAYLAND_DISPLAY=sway.display))
    assert done.returncode == 1 and bridge.socket in done.stderr, done
    done = run([lab.program("causeway-guest"), "--transport", f"socket:{bridge.socket}",
                "--socket", bridge.display], rig.env)
    assert done.returncode == 1 and bridge.display in done.stderr, done
    guest_works(rig, bridge, sway, "after")


@bridge_only
def test_foreign_user_is_refused(rig):
    if os.geteuid() != 0:
        pytest.skip("needs root: a peer with another uid")
    sway = rig.sway(size=SIZE)
    # root may come in everywhere, so the host has to be somebody else's: nobody's peer is daemon.
    home = rig.dir / "other"
    home.mkdir()
    os.chmod(rig.dir, 0o711)
    os.chmod(home, 0o711)
    os.chown(home, 65534, 65534)
    os.chmod(rig.dir / sway.display, 0o777)
    path = str(home / "host.sock")
    host = rig.start(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                      lab.program("causeway-host"), "--socket", path, "--wayland-display",
                      str(rig.dir / sway.display)],
                     dict(rig.env, XDG_RUNTIME_DIR=str(home)))
    lab.Bridge._wait_socket(path, host)
    os.chmod(path, 0o777)  # the mode alone must not be what keeps others out
    check = [lab.program("causeway-guest"), "--transport", f"socket:{path}", "--check"]
    done = run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *check],
               dict(rig.env, XDG_RUNTIME_DIR=str(home)))
    assert done.returncode == 0, done
    done = run(["setpriv", "--reuid", "2", "--regid", "2", "--clear-groups", *check],
               dict(rig.env, XDG_RUNTIME_DIR=str(home)))
    assert done.returncode == 1, done
    host.expect_error("another user")
    assert host.running()
    host.stop()


# systemd

class Notified:
    """A NOTIFY_SOCKET and what came to it."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(lab.DEADLINE)
        self.sock.bind(self.path)

    def expect(self, state):
        got = []
        while True:
            try:
                got.append(self.sock.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"deadline: waited for {state}, got {got}") from None
            if state in got[-1].splitlines():
                return


@bridge_only
def test_notification(rig):
    """READY=1 once clients can connect, STOPPING=1 at the end, of both programs."""
    sway = rig.sway(size=SIZE)
    notified = Notified(rig.dir / "notify")
    env = dict(rig.env, NOTIFY_SOCKET=notified.path, WAYLAND_DISPLAY=sway.display)
    path = str(rig.dir / "host.sock")
    host = rig.start([lab.program("causeway-host"), "--socket", path, "--title-mark", "",
                      "--app-id-prefix", ""], env)
    notified.expect("READY=1")
    guest = rig.start([lab.program("causeway-guest"), "--transport", f"socket:{path}", "--socket",
                       "notified"], env)
    notified.expect("READY=1")
    client = rig.probe("notified", "client", window=True)  # no wait for the socket
    client.send("quit")
    assert client.wait() == 0
    for process in (guest, host):
        assert process.stop() == 0
        notified.expect("STOPPING=1")


@bridge_only
def test_socket_activation(rig):
    """systemd holds the socket; the proxy starts with the first client and serves it."""
    sway = rig.sway(size=SIZE)
    bridge = rig.bridge(sway)
    path = str(rig.dir / "activated")
    starter = rig.start(["systemd-socket-activate", "-l", path,
                         "-E", f"XDG_RUNTIME_DIR={rig.dir}",
                         lab.program("causeway-guest"), "--transport", f"socket:{bridge.socket}"])
    lab.Bridge._wait_socket(path, starter)
    for name in ("first", "second"):
        client = rig.probe(path, name, "60a0c0", window=True)
        client.ask("color 60a0c0", "painted 60a0c0")
        sway.wait_colors({name: "60a0c0"})
        client.send("quit")
        assert client.wait() == 0
    assert starter.running()
    assert starter.stop() == 0
    assert os.path.exists(path), "systemd's socket is not the proxy's to remove"
