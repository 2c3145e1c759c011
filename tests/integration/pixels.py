# SPDX-License-Identifier: MIT
"""Screenshots that can be compared byte for byte, and the clients that are looked at.

A picture is (width, height, RGB bytes). A direct run is the reference: the same client on a fresh
compositor of the same kind, looked at until its picture no longer changes.
"""
import dataclasses
import re
import subprocess

import rig as lab

from PIL import Image, ImageChops

RESULTS = lab.CHECKOUT / "tests" / "results"
SIZE = (1024, 768)


class Weston:
    """weston headless, drawing with the CPU or (gl) a software GPU that has dma-bufs; the kiosk shell draws
    nothing of its own."""

    def __init__(self, rig, size=SIZE, args=(), renderer="pixman", display=None):
        self.rig = rig
        self.size = size
        number = rig.number()
        self.display = display or f"weston-{number}"
        self.shots = rig.dir / f"shots-{number}"
        self.shots.mkdir()
        config = rig.dir / f"weston-{number}.ini"
        config.write_text("[core]\nidle-time=0\nrequire-input=false\n"
                          "[shell]\nanimation=none\nstartup-animation=none\n")
        env = dict(rig.env)
        env.pop("WAYLAND_DISPLAY", None)
        if renderer == "gl":
            env = lab.with_dmabufs(env)
        self.process = rig.start(
            ["weston", "--backend=headless", f"--renderer={renderer}", "--shell=kiosk", "--debug",
             f"--config={config}", f"--socket={self.display}", f"--width={size[0]}",
             f"--height={size[1]}", *args], env)
        lab.Bridge._wait_socket(str(rig.dir / self.display), self.process)
        # Its output may come after its socket.
        lab.wait_until(lambda: "wl_output" in globals_text(rig, self.display), "weston's output")

    def screenshot(self):
        for old in self.shots.iterdir():
            old.unlink()
        done = subprocess.run(
            ["weston-screenshooter"], cwd=self.shots, capture_output=True, timeout=lab.DEADLINE,
            env=dict(self.rig.env, WAYLAND_DISPLAY=self.display), check=False)
        files = list(self.shots.iterdir())
        assert done.returncode == 0 and len(files) == 1, (done.returncode, done.stderr, files)
        with Image.open(files[0]) as image:
            return image.width, image.height, image.convert("RGB").tobytes()


def globals_text(rig, display):
    """What wayland-info says."""
    done = rig.run(["wayland-info"], dict(rig.env, WAYLAND_DISPLAY=display))
    assert done.returncode == 0, (display, done.stderr)
    return done.stdout


def painted_sway(rig):
    """sway once its background, which a process of its own draws, is there."""
    sway = lab.Sway(rig, size=SIZE)
    background = b"\x10\x10\x10" * (SIZE[0] * SIZE[1])
    lab.wait_until(lambda: sway.screenshot() == (*SIZE, background), "sway's background")
    return sway


COMPOSITORS = {"weston": Weston, "sway": painted_sway}


@dataclasses.dataclass
class Client:
    """How a client is run so that it stands still."""
    name: str
    argv: list
    env: dict = dataclasses.field(default_factory=dict)
    compositor: str = "weston"
    # None, or a line on stdout after which the picture is final.
    says: str | None = None
    # Called with the client's home folder before it starts.
    prepare: object = None


def example(name):
    """Path of a built example."""
    return str(lab.build_dir() / "examples" / name)


def start_client(rig, client, display):
    """Start it with a home folder of its own, so that no setting of the user's shows."""
    home = rig.dir / f"home-{rig.number()}"
    config = home / ".config"
    config.mkdir(parents=True)
    if client.prepare:
        client.prepare(home)
    env = {key: value for key, value in rig.env.items() if key != "DISPLAY"}
    env.update(HOME=str(home), XDG_CONFIG_HOME=str(config), XDG_CACHE_HOME=str(home / "cache"),
               XDG_DATA_HOME=str(home / "data"), WAYLAND_DISPLAY=display, LC_ALL="C.UTF-8",
               TZ="UTC", NO_AT_BRIDGE="1", GTK_A11Y="none", GIO_USE_VFS="local",
               GSETTINGS_BACKEND="memory", DBUS_SESSION_BUS_ADDRESS="disabled:", **client.env)
    process = rig.start([arg.replace("@HOME@", str(home)) for arg in client.argv], env, cwd=home)
    process.home = home
    if client.says:
        process.expect(client.says)
    return process


def settled(compositor, process, empty, alike=3):
    """The picture that stays the same over several looks; not the empty desktop."""
    run = []

    def look():
        assert process.running(), (process.argv, process.popen.returncode, process.errors[-10:])
        picture = compositor.screenshot()
        if picture == empty or (run and run[-1] != picture):
            run.clear()
        if picture != empty:
            run.append(picture)
        return len(run) >= alike and picture
    return lab.wait_until(look, f"{process.name} to stand still")


def reference(rig, client):
    """The client's picture without a bridge."""
    compositor = COMPOSITORS[client.compositor](rig)
    empty = compositor.screenshot()
    process = start_client(rig, client, compositor.display)
    picture = settled(compositor, process, empty)
    process.stop()
    compositor.process.stop()
    return picture


def image(picture):
    return Image.frombytes("RGB", picture[:2], picture[2])


def save(name, wanted, found):
    """Both pictures and where they differ, for whoever reads the failure."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    base = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    image(wanted).save(RESULTS / f"{base}-direct.png")
    image(found).save(RESULTS / f"{base}-bridge.png")
    if wanted[:2] == found[:2]:
        diff = ImageChops.difference(image(wanted), image(found))
        diff.point(lambda value: 255 if value else 0).save(RESULTS / f"{base}-diff.png")
        return f"differs in {diff.getbbox()}; see {RESULTS / base}-*.png"
    return f"{found[:2]} instead of {wanted[:2]}; see {RESULTS / base}-*.png"


def wait_same(compositor, process, wanted, name):
    """Look until the picture is the wanted one, in every byte."""
    last = [None]

    def look():
        assert process.running(), (process.argv, process.popen.returncode, process.errors[-10:])
        last[0] = compositor.screenshot()
        return last[0] == wanted
    try:
        lab.wait_until(look, f"the picture of {name}")
    except AssertionError as error:
        if last[0] is None or last[0] == wanted:
            raise
        raise AssertionError(f"{name}: {save(name, wanted, last[0])}; {process.errors[-10:]}"
                             ) from error
