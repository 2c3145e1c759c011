# SPDX-License-Identifier: MIT
"""Compositors, each as it can be had without a screen and without input devices.

All have .display (a name in the rig's folder), .process and .screenshot() (width, height, RGB bytes).
"""
import re
import subprocess

import pixels
import rig as lab

SIZE = (640, 480)


def grim(rig, display, cursor=False):
    """A picture of all outputs, of a wlroots compositor."""
    done = subprocess.run(["grim", *(["-c"] if cursor else []), "-t", "ppm", "-"],
                          env=dict(rig.env, WAYLAND_DISPLAY=display), capture_output=True,
                          timeout=lab.DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    head = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", done.stdout)
    return int(head[1]), int(head[2]), done.stdout[head.end():]


class Desktop:
    """What starts with a program and is ready when its socket is and it has an output."""

    def __init__(self, rig, name, argv, env):
        self.rig = rig
        self.display = f"{name}-{rig.number()}"
        home = rig.dir / f"home-{self.display}"
        home.mkdir()
        clean = {key: value for key, value in rig.env.items() if key != "WAYLAND_DISPLAY"}
        clean.update(HOME=str(home), XDG_CONFIG_HOME=str(home), XDG_CACHE_HOME=str(home),
                     XDG_DATA_HOME=str(home), **env)
        self.process = rig.start(self.argv(argv, home), clean)
        self.wait()

    def argv(self, argv, home):
        del home
        return argv

    def wait(self):
        lab.Bridge._wait_socket(str(self.rig.dir / self.display), self.process)
        lab.wait_until(lambda: "wl_output" in pixels.globals_text(self.rig, self.display),
                       f"an output of {self.process.name}")

    def screenshot(self, cursor=False):
        return grim(self.rig, self.display, cursor)


class Labwc(Desktop):
    """labwc headless: stacking windows with server-side decorations."""

    def __init__(self, rig):
        super().__init__(rig, "labwc", ["labwc"], {
            "WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_HEADLESS_OUTPUTS": "1"})

    def argv(self, argv, home):
        (home / "rc.xml").write_text("<labwc_config><core><xwayland>no</xwayland></core></labwc_config>\n")
        self.ready = home / "ready"
        return [*argv, "-C", str(home), "-s", f"sh -c 'echo $WAYLAND_DISPLAY > {self.ready}'"]

    def wait(self):
        lab.wait_until(lambda: self.ready.exists() and self.ready.read_text().endswith("\n")
                       or not self.process.running(), "labwc to start")
        assert self.process.running(), self.process.errors
        self.display = self.ready.read_text().strip()
        super().wait()


class Kwin(Desktop):
    """kwin_wayland --virtual, drawing with the CPU. Every client may use every protocol, as those need who
    inject input."""

    def __init__(self, rig):
        super().__init__(rig, "kwin", [], {
            "KWIN_COMPOSE": "Q", "KWIN_WAYLAND_NO_PERMISSION_CHECKS": "1", "QT_LOGGING_RULES": "*=false",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:"})

    def argv(self, argv, home):
        (home / "kwinrc").write_text("[Compositing]\nAnimationSpeed=0\n")
        return ["kwin_wayland", "--virtual", "--socket", self.display, "--width", str(SIZE[0]), "--height",
                str(SIZE[1]), "--no-lockscreen", "--no-global-shortcuts"]

    def screenshot(self, cursor=False):
        raise NotImplementedError("kwin gives screenshots by D-Bus only")


class NestedWeston(Desktop):
    """weston in a window of sway: so it has a seat, with sway's virtual devices behind it."""

    def __init__(self, rig, sway, shell="desktop"):
        self.outer, self.shell = sway, shell
        super().__init__(rig, "nested", [], {"WAYLAND_DISPLAY": sway.display})

    def argv(self, argv, home):
        config = home / "weston.ini"
        config.write_text("[core]\nidle-time=0\n[shell]\nanimation=none\nstartup-animation=none\n"
                          "close-animation=none\npanel-position=none\nlocking=false\n"
                          "background-color=0xff101010\n")
        return ["weston", "--backend=wayland", "--renderer=pixman", f"--shell={self.shell}",
                f"--config={config}", f"--socket={self.display}", "--debug",
                f"--width={SIZE[0]}", f"--height={SIZE[1]}"]

    def screenshot(self, cursor=False):
        return grim(self.rig, self.outer.display, cursor)
