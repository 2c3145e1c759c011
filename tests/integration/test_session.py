# SPDX-License-Identifier: MIT
"""What causeway-guest tells a session's systemd and D-Bus, and desktop portals that work by it.

D-Bus is the real one; systemd's user manager a small stand-in (clients/fake-systemd.c): the real one is
in tests/vm/test_vm_session.py.
"""
import pathlib
import re
import shutil
import signal
import socket

import pytest

import hand
import rig as lab

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (lab.build_dir() / "tests/integration/clients/fake-systemd").exists(),
                       reason="built without libsystemd"),
    pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about causeway-guest"),
]
needs_portals = pytest.mark.skipif(
    not pathlib.Path("/usr/libexec/xdg-desktop-portal-gtk").exists(),
    reason="needs the package xdg-desktop-portal-gtk")
NAMES = ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "DISPLAY")
OURS = {"WAYLAND_DISPLAY": "ours", "XDG_SESSION_TYPE": "wayland", "XDG_CURRENT_DESKTOP": "causeway"}


class Bus:
    """A session's D-Bus at its usual place."""

    def __init__(self, rig):
        self.rig = rig
        self.services = rig.dir / "dbus-1" / "services"
        self.services.mkdir(parents=True)
        self.process = rig.start(["dbus-daemon", "--session", "--nofork", "--print-address=1",
                                  f"--address=unix:path={rig.dir}/bus"])
        self.process.expect("unix:path=.*")

    def call(self, *words):
        return self.rig.run(["busctl", "--user", "call", *words], self.rig.env)

    def environment(self):
        """What a program that the bus starts finds of the variables."""
        found = self.rig.dir / f"found-{self.rig.number()}"
        name = f"org.example.Look{self.rig.number()}"
        (self.services / f"{name}.service").write_text(
            f"[D-BUS Service]\nName={name}\nExec=/bin/sh -c 'env > {found}; exit 1'\n")
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                  "ReloadConfig")
        done = self.call(name, "/", name, "Nothing")
        assert found.exists(), done
        lines = dict(line.split("=", 1) for line in found.read_text().splitlines() if "=" in line)
        return {name: value for name, value in lines.items() if name in NAMES}


@pytest.fixture
def bus(rig):
    return Bus(rig)


def systemd(rig, *variables):
    fake = rig.start([lab.program("fake-systemd"), *variables])
    fake.expect("ready")
    return fake


def proxy(rig, *args, app=(), x11="off", **env):
    """causeway-guest; its host is not needed before a program comes."""
    return rig.start([lab.program("causeway-guest"), "--transport", f"socket:{rig.dir}/no-host",
                      "--socket", "ours", "--xwayland", x11, *args, *(["--", *app] if app else [])],
                     dict(rig.env, **env))


def told(fake):
    """The manager's environment after a change."""
    return dict(word.split("=", 1) for word in fake.expect("environment(.*)")[1].split())


class Notified:
    """Lines that a started unit would get: only whether it is ready."""

    def __init__(self, rig):
        self.path = str(rig.dir / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)

    def ready(self, seconds=None):
        self.sock.settimeout(lab.DEADLINE if seconds is None else seconds)
        try:
            return self.sock.recv(100) == b"READY=1"
        except (TimeoutError, BlockingIOError):
            return False


def test_told_and_taken_back(rig, bus):
    """Both managers know before the proxy calls itself ready, and forget when it ends."""
    fake = systemd(rig, "LANG=C")
    notified = Notified(rig)
    guest = proxy(rig, NOTIFY_SOCKET=notified.path)
    assert notified.ready()
    assert told(fake) == dict(OURS, LANG="C")
    assert bus.environment() == OURS
    # While it runs it has no connection to the bus.
    assert not fake.seen("UnsetAndSetEnvironment")
    assert guest.stop() == 0
    assert told(fake) == {"LANG": "C"}
    assert bus.environment() == dict.fromkeys(OURS, "")


@pytest.mark.skipif(not shutil.which("Xwayland"), reason="needs Xwayland")
def test_x11_display(rig, bus):
    """Where X11 programs are served the session's ones find it."""
    fake = systemd(rig)
    guest = proxy(rig, x11="auto")
    found = told(fake)
    assert re.fullmatch(r":\d+", found["DISPLAY"])
    assert found == dict(OURS, DISPLAY=found["DISPLAY"]) == bus.environment()
    assert guest.stop() == 0
    assert told(fake) == {}


def test_without_systemd(rig, bus):
    """A bus of its own, as dbus-run-session's."""
    notified = Notified(rig)
    guest = proxy(rig, NOTIFY_SOCKET=notified.path)
    assert notified.ready()
    assert bus.environment() == OURS
    assert guest.stop() == 0
    assert bus.environment() == dict.fromkeys(OURS, "")
    assert not guest.errors[1:], guest.errors


def test_without_a_bus(rig):
    notified = Notified(rig)
    guest = proxy(rig, NOTIFY_SOCKET=notified.path)
    assert notified.ready()
    assert guest.stop() == 0
    assert not guest.errors[1:], guest.errors


def test_what_was_there_comes_back(rig, bus):
    """A desktop's name stays the user's; a display of before is there again."""
    fake = systemd(rig, "WAYLAND_DISPLAY=wayland-0", "XDG_CURRENT_DESKTOP=mine")
    guest = proxy(rig, "--session", "on")
    assert told(fake) == dict(OURS, XDG_CURRENT_DESKTOP="mine")
    assert guest.stop() == 0
    assert told(fake) == {"WAYLAND_DISPLAY": "wayland-0", "XDG_CURRENT_DESKTOP": "mine"}
    assert bus.environment()["WAYLAND_DISPLAY"] == "wayland-0"


def test_a_dead_proxys_value(rig, bus):
    """What a proxy left that was killed is no other display."""
    fake = systemd(rig)
    guest = proxy(rig)
    assert told(fake) == OURS
    guest.kill()
    guest = proxy(rig)
    assert told(fake) == OURS
    assert guest.stop() == 0
    assert told(fake) == {}


@pytest.mark.parametrize("name", ["WAYLAND_DISPLAY", "DISPLAY"])
@pytest.mark.parametrize("where", ["systemd", "own"])
def test_a_session_that_has_a_display(rig, bus, name, where):
    """It is left alone, and said."""
    fake = systemd(rig, *([f"{name}=:7"] if where == "systemd" else []))
    notified = Notified(rig)
    guest = proxy(rig, NOTIFY_SOCKET=notified.path, **({name: ":7"} if where == "own" else {}))
    assert notified.ready()
    guest.expect_error(f"session: it has {name}=:7 already and keeps it")
    assert guest.stop() == 0
    assert not fake.seen(".*SetEnvironment") and not bus.environment().get("XDG_SESSION_TYPE")


def test_others_change_stays(rig, bus):
    """A compositor that took over while the proxy ran."""
    fake = systemd(rig)
    guest = proxy(rig)
    told(fake)
    fake.ask("set WAYLAND_DISPLAY=wayland-9", "ok")
    assert guest.stop() == 0
    assert told(fake) == {"WAYLAND_DISPLAY": "wayland-9"}


@pytest.mark.parametrize("args,app", [(["--session", "off"], []), ([], ["sleep", "1000"])])
def test_told_nothing(rig, bus, args, app):
    """By the option, or because the display is one program's."""
    fake = systemd(rig)
    notified = Notified(rig)
    guest = proxy(rig, *args, app=app, NOTIFY_SOCKET=notified.path)
    assert notified.ready()
    guest.may_fail = True
    assert guest.stop() == (128 + signal.SIGTERM if app else 0)
    assert not fake.seen("Get") and not bus.environment()


def test_app_starts_when_the_session_knows(rig, bus):
    """--session on: the app may start others by D-Bus at once."""
    fake = systemd(rig)
    guest = proxy(rig, "--session", "on", app=["env"])
    assert guest.wait() == 0
    found = dict(line.split("=", 1) for line in guest.lines if "=" in line)
    assert {name: found[name] for name in OURS} == OURS
    assert told(fake) == OURS and told(fake) == {}


def test_no_answer(rig, bus):
    """A manager that does not answer: ready all the same, and an end within seconds."""
    fake = systemd(rig)
    fake.ask("mute", "ok")
    notified = Notified(rig)
    guest = proxy(rig, NOTIFY_SOCKET=notified.path)
    fake.expect("SetEnvironment")
    assert notified.ready()
    guest.expect_error("session: .*programs that are started by it need WAYLAND_DISPLAY set")
    guest.popen.terminate()
    fake.expect("UnsetAndSetEnvironment")
    assert guest.wait(5) == 0


def test_bus_that_says_nothing(rig):
    """Nobody waits for it for ever."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{rig.dir}/bus")
        mute.listen()
        notified = Notified(rig)
        guest = proxy(rig, NOTIFY_SOCKET=notified.path)
        assert notified.ready(5)
        guest.expect_error("session: D-Bus: .*timed out")
        assert guest.stop(5) == 0


def test_systemds_socket_stays(rig, bus):
    """The display of a socket that systemd holds outlives the proxy, which strips the folder's name."""
    fake = systemd(rig, "WAYLAND_DISPLAY=ours")
    starter = rig.start(["systemd-socket-activate", "-l", f"{rig.dir}/ours",
                         "-E", f"XDG_RUNTIME_DIR={rig.dir}", lab.program("causeway-guest"),
                         "--transport", f"socket:{rig.dir}/no-host", "--xwayland", "off"])
    lab.Bridge._wait_socket(f"{rig.dir}/ours", starter)
    rig.run(["wayland-info"], dict(rig.env, WAYLAND_DISPLAY="ours"))
    assert told(fake) == OURS
    assert starter.stop() == 0
    assert told(fake) == OURS


def test_check(rig, bus):
    done = rig.run([lab.program("causeway-guest"), "--check", "--transport", "socket:/nonexistent"],
                   rig.env)
    assert "ok       session bus\n" in done.stdout
    assert re.search("^ok       desktop portals$", done.stdout, re.M), done.stdout
    done = rig.run([lab.program("causeway-guest"), "--check", "--transport", "socket:/nonexistent"],
                   dict(rig.env, XDG_RUNTIME_DIR="/nonexistent"))
    assert re.search("^without  session bus: .*dbus-user-session", done.stdout, re.M), done.stdout


# Desktop portals

@pytest.fixture
def portals(rig):
    """A session with Causeway's portals.conf; what asks them, and the hand at the host's seat."""
    data, home = rig.dir / "data", rig.dir / "home"
    (data / "xdg-desktop-portal").mkdir(parents=True)
    (home / ".config" / "glib-2.0" / "settings").mkdir(parents=True)
    shutil.copy(lab.CHECKOUT / "guest-proxy" / "causeway-portals.conf", data / "xdg-desktop-portal")
    # Settings in a file, as the packages of no desktop have them.
    rig.env.update(HOME=str(home), XDG_CONFIG_HOME=str(home / ".config"), GTK_A11Y="none",
                   XDG_DATA_DIRS=f"{data}:/usr/share", GSETTINGS_BACKEND="keyfile", NO_AT_BRIDGE="1")
    (home / ".config" / "glib-2.0" / "settings" / "keyfile").write_text(
        "[org/gnome/desktop/interface]\ncolor-scheme='prefer-dark'\nfont-name='DejaVu Sans 13'\n"
        "enable-animations=false\ncursor-blink=false\n")
    bus = Bus(rig)
    sway = rig.sway(size=(1024, 768))
    person = hand.Hand(rig, sway)
    rig.bridge(sway, guest_args=["--session", "on"])
    lab.wait_until(bus.environment, "the bus to know the display")
    return rig.start([lab.program("portal")]), person


@needs_portals
def test_portal_settings(portals):
    """Dark mode and fonts, as programs ask for them."""
    program, _ = portals
    # 1: prefer dark
    program.ask("setting org.freedesktop.appearance color-scheme", "setting u 1")
    program.ask("setting org.gnome.desktop.interface font-name", "setting s DejaVu Sans 13")


@needs_portals
def test_portal_file_chooser(rig, portals):
    """The dialog is a window on the host; the file that is typed there comes back."""
    program, person = portals
    path = rig.dir / "home" / "a-file.txt"
    path.write_text("text")
    program.ask("open Pick one", "asked")
    lab.wait_until(lambda: "Pick one" in person.sway.windows(), "the dialog")
    # Its text field comes with the first letter.
    person.wait_still()
    person.wait_change(lambda: person.type("/"))
    person.wait_change(lambda: person.type(str(path)[1:]))
    person.keys(hand.ENTER)
    assert program.expect("response 0 (.*)")[1] == f"file://{path}"
    lab.wait_until(lambda: not person.sway.windows(), "the dialog to go")
    # And one that is not answered.
    program.ask("open Pick another", "asked")
    lab.wait_until(lambda: "Pick another" in person.sway.windows(), "the dialog")
    person.keys(hand.ESCAPE)
    program.expect("response [12] ")


@needs_portals
def test_portal_of_the_hosts_things(portals):
    """The screen and the like are not the guest's: the portal says that there is no such thing."""
    program, _ = portals
    program.ask("setting org.freedesktop.appearance color-scheme", "setting .*")
    done = program.ask("version org.freedesktop.portal.ScreenCast", "failed (.*)")[1]
    assert "ScreenCast" in done, done
