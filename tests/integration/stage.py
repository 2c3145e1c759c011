# SPDX-License-Identifier: MIT
"""Two desks with the same person at both: a program beside the compositor, and one behind the bridge.

Whatever the person does is done at both; the pictures then have to become the same, in every byte. A
program that never looks the same twice is at the bridge's desk only, and known by its properties.
"""
import subprocess

import hand
import pixels
import rig as lab

# Where the pointer is an arrow in any program.
NOWHERE = (512, 12)


class Desk:
    """A compositor, the person at its seat, and where its programs connect."""

    def __init__(self, rig, bridged):
        self.rig = rig
        self.sway = pixels.painted_sway(rig)
        self.hand = hand.Hand(rig, self.sway)
        self.bridge = rig.bridge(self.sway) if bridged else None
        self.display = self.bridge.display if bridged else self.sway.display
        self.process = None
        self.seen = self.empty = None
        # The pointer is shown from its first motion on.
        self.hand.move(*NOWHERE)

    def x11(self):
        """DISPLAY of the bridge's programs."""
        return self.bridge.guest.expect_error("X11 programs: display (:[0-9]+)")[1]

    def x11(self):
        """DISPLAY of the bridge's programs."""
        return self.bridge.guest.expect_error("X11 programs: display (:[0-9]+)")[1]

    def node(self):
        """The window that the program shows: sway's node, or None."""
        queue = [self.sway.ipc("", 4)]
        for node in queue:
            queue += node["nodes"] + node["floating_nodes"]
            if node.get("pid") and node["type"] in ("con", "floating_con"):
                return node
        return None

    def start(self, client):
        # The compositor has nothing that an earlier program left.
        subprocess.run(["wl-copy", "--clear"], env=self._env(), check=True, timeout=lab.DEADLINE)
        self.hand.move(*NOWHERE)
        self.seen = self.sway.screenshot()
        self.process = pixels.start_client(self.rig, client, self.display)

    def _env(self):
        return dict(self.rig.env, WAYLAND_DISPLAY=self.sway.display)

    def read(self, name):
        """A file in the program's home folder, which may be a virtual machine's; None: there is none."""
        vm = getattr(self.process.popen, "vm", None)
        path = self.process.home / name
        if vm:
            return vm.run(["cat", str(path)]).stdout
        return path.read_text() if path.exists() else None

    def host_copies(self, text):
        """Another program of the host's puts text on the clipboard."""
        subprocess.run(["wl-copy", text], env=self._env(), check=True, timeout=lab.DEADLINE)

    def host_pastes(self, *args):
        return self.rig.run(["wl-paste", "--no-newline", *args], self._env()).stdout


class Stage:
    """The desks of one program's run. Attributes of the bridge's desk are the last one's."""

    def __init__(self, desks, client, seconds=None, area=None, alike=3):
        """area: the part of the pictures that is compared, if the rest moves by itself. alike: how often
        the pictures have to be the same; 1 if a cursor blinks."""
        self.desks = desks
        self.area = area
        self.alike = alike
        self.name = client.name
        self.seconds = seconds
        self.did = []
        for desk in desks:
            desk.start(client)

    @property
    def desk(self):
        return self.desks[-1]

    def each(self, do):
        for desk in self.desks:
            do(desk)

    def wait(self, ready, what):
        """For a state of each desk's: ready(DESK)."""
        for desk in self.desks:
            def look(desk=desk):
                process = desk.process
                assert process.running(), (process.argv, process.popen.returncode,
                                           process.errors[-10:])
                return ready(desk)
            lab.wait_until(look, lambda: f"{self.name}: {what() if callable(what) else what}",
                           self.seconds)

    def window(self, app_id, title):
        """It is there, with its names."""
        def named(desk):
            node = desk.node()
            return node and node.get("app_id") == app_id and title in (node["name"] or "")

        def there():
            node = self.desk.node() or {}
            return (f"a window {app_id!r} {title!r}; "
                    f"there is {node.get('app_id')!r} {node.get('name')!r}")
        self.wait(named, there)
        self.did.append("shown")

    def title(self, text):
        self.wait(lambda desk: text in ((desk.node() or {}).get("name") or ""),
                  lambda: f"{text!r} in the title; it is {self.desk.node()['name']!r}")

    def pictures(self):
        found = [desk.sway.screenshot() for desk in self.desks]
        if self.area:
            size = (self.area[2] - self.area[0], self.area[3] - self.area[1])
            found = [(*size, pixels.image(one).crop(self.area).tobytes()) for one in found]
        return found

    def look(self, what):
        """The same at both desks, another picture than at the last look, and it stays."""
        alike = []

        def same():
            pictures = self.pictures()
            good = pictures[0] == pictures[-1] and pictures[-1] != self.desk.seen
            if not good or (alike and alike[-1] != pictures[-1]):
                alike.clear()
            if good:
                alike.append(pictures[-1])
            return len(alike) >= self.alike
        try:
            lab.wait_until(same, f"{self.name}, {what}: the same pictures", self.seconds)
        except AssertionError as error:
            pictures = self.pictures()
            saved = pixels.save(f"matrix-{self.name}-{what}", *(pictures * 2)[:2])
            raise AssertionError(f"{error}: {saved}") from error
        for desk in self.desks:
            desk.seen = alike[-1]
        if what not in self.did:
            self.did.append(what)

    def show(self, colors=8):
        """For a program that never looks the same twice: it shows something in its window."""
        def painted(desk):
            rect = desk.node()["rect"]
            image = pixels.image(desk.sway.screenshot()).crop(
                (rect["x"], rect["y"], rect["x"] + rect["width"], rect["y"] + rect["height"]))
            return len(image.getcolors(1 << 20) or range(99)) > colors
        self.wait(painted, "something to see")

    def resize(self, width, height, look=True):
        """A window of about this size, and back into its tile."""
        def size(desk, wanted):
            rect = (desk.node() or {}).get("window_rect") or {"width": 0, "height": 0}
            return all(abs(rect[name] - want) < 20 for name, want in zip(("width", "height"), wanted))
        for command, wanted in ((f"floating enable, resize set {width} px {height} px, "
                                 "move position 40 px 30 px", (width, height)),
                                ("floating disable", pixels.SIZE)):
            self.each(lambda desk, command=command: desk.sway.run(command))
            self.wait(lambda desk, wanted=wanted: size(desk, wanted), f"a window of {wanted}")
            if look:
                self.look("resized")
        self.did.append("resized")

    def fullscreen(self, *keys):
        """By the program's own key, if it has one, and back."""
        for mode in (1, 0):
            if keys:
                # It has to have seen what it is before it can change that.
                self.each(lambda desk: desk.hand.wait_still())
                self.each(lambda desk: desk.hand.keys(*keys))
            else:
                self.each(lambda desk, mode=mode: desk.sway.run(
                    "fullscreen " + ("enable" if mode else "disable")))
            self.wait(lambda desk, mode=mode: desk.node()["fullscreen_mode"] == mode,
                      f"fullscreen mode {mode}")
        self.did.append("full screen")

    def host_gets(self, text, *args):
        self.wait(lambda desk: desk.host_pastes(*args) == text,
                  lambda: f"{text!r} on the host's clipboard; it is "
                          f"{self.desk.host_pastes(*args)!r}")

    def file(self, name, text):
        """Text that the program wrote."""
        self.wait(lambda desk: desk.read(name) == text,
                  lambda: f"{text!r} in {name}; it is {self.desk.read(name)!r}")

    def close(self, status=0):
        """As by the window's button; the program ends in order."""
        self.each(lambda desk: desk.sway.run("kill"))
        for desk in self.desks:
            assert desk.process.wait(self.seconds) == status, desk.process.errors[-10:]
            lab.wait_until(lambda desk=desk: not desk.node(), f"{self.name}: its window to go")
        self.did.append("closed")
