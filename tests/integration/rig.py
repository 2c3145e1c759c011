# SPDX-License-Identifier: MIT
"""Processes of a test: compositors, the bridge and driven clients.

Every wait is for an event and has a deadline that says what it waited for. Every process is
ended by the rig that started it.
"""
import collections
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
DEADLINE = float(os.environ.get("CAUSEWAY_TEST_DEADLINE", "30"))
# "waypipe" and "direct" are stand-ins that show that a test itself is right.
BRIDGE = os.environ.get("CAUSEWAY_TEST_BRIDGE", "causeway")


def build_dir():
    chosen = os.environ.get("CAUSEWAY_BUILD")
    if chosen:
        return pathlib.Path(chosen).resolve()
    return CHECKOUT / "build"


def program(name):
    """Path of a built program."""
    places = {
        "causeway-guest": "guest-proxy",
        "causeway-host": "host-renderer",
        "causeway-gpu-worker": "host-renderer/worker",
        "probe": "tests/integration/clients",
        "fake-systemd": "tests/integration/clients",
        "portal": "tests/integration/clients",
        "xprobe": "tests/integration/clients",
        "virtual-input": "tests/integration/clients",
        "x-window": "tests/integration/clients",
        "dmabuf-paint": "tests/integration/clients",
        "vdrm": "tests/vm/clients",
        "vdrm-odd": "tests/vm/clients",
        "tiles-compositor": "tests/vm/vdrm",
    }
    path = build_dir() / places[name] / name
    assert path.exists(), f"{path} is not built (CAUSEWAY_BUILD says where to look)"
    return str(path)


FIXTURE = "tests/fixture/libudmabuf-fixture.so"
# The kernel has them: a virtual machine's (tests/vm/test_vm_host.py).
REAL_DMABUFS = "CAUSEWAY_TEST_REAL_DMABUFS" in os.environ


def with_dmabufs(env):
    """An environment whose software GPU drivers have dma-bufs, which not every kernel gives them."""
    more = {} if REAL_DMABUFS else {"LD_PRELOAD": str(build_dir() / FIXTURE)}
    return dict(env, **more, LIBGL_ALWAYS_SOFTWARE="1",
                VK_DRIVER_FILES="/usr/share/vulkan/icd.d/lvp_icd.json", VK_LOADER_LAYERS_DISABLE="*")


def gpu_worker(folder, **more):
    """Path of a program that is the worker, on a software GPU with dma-bufs. more: of its environment."""
    path = pathlib.Path(folder) / "gpu-worker"
    settings = with_dmabufs(more)
    if "LD_PRELOAD" in more and not REAL_DMABUFS:
        settings["LD_PRELOAD"] = f"{more['LD_PRELOAD']}:{settings['LD_PRELOAD']}"
    # Mesa's own leaks, in a process that is killed when it has done its work, say nothing of ours.
    settings["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
    lines = "".join(f"export {name}='{value}'\n" for name, value in settings.items())
    path.write_text(f"#!/bin/sh\n{lines}exec {program('causeway-gpu-worker')}\n")
    path.chmod(0o755)
    return str(path)


def vtest_program(folder):
    """Put virgl_test_server, on a software GPU with dma-bufs, into folder/bin."""
    path = pathlib.Path(folder) / "bin" / "virgl_test_server"
    path.parent.mkdir(exist_ok=True)
    lines = "".join(f"export {name}='{value}'\n" for name, value in with_dmabufs({}).items())
    path.write_text(f"#!/bin/sh\n{lines}exec {shutil.which('virgl_test_server')} \"$@\"\n")
    path.chmod(0o755)


def sanitized():
    if BRIDGE != "causeway":
        return False
    with open(program("causeway-guest"), "rb") as file:
        return b"__asan_init" in file.read()


def wait_until(ready, what, deadline=None):
    """Poll for a state that nothing announces; returns ready()'s first true value.

    what: text, or a function that makes it when the deadline has passed.
    """
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"deadline: waited for {text}; last: {value!r}")
        time.sleep(0.01)


def limiter(limits):
    """What a child does to start with these limits; None if there are none."""
    def limit():
        for which, hard in limits.items():
            resource.setrlimit(which, (hard, hard))
    return limit if limits else None


class Process:
    """A process whose lines on stdout (and stderr, apart) are kept and can be waited for.

    popen: something with Popen's interface that is the process already, if it isn't one of ours.
    """

    def __init__(self, argv, env=None, popen=None, **kwargs):
        self.name = os.path.basename(argv[0])
        self.argv = argv
        self.lines = []
        self.errors = []
        self.at = 0
        self.changed = threading.Condition()
        self.popen = popen or subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", bufsize=1, **kwargs)
        self.pid = self.popen.pid
        self.ended = 0
        self.threads = [threading.Thread(target=self._read, args=args, daemon=True)
                        for args in ((self.popen.stdout, self.lines),
                                     (self.popen.stderr, self.errors))]
        for thread in self.threads:
            thread.start()

    def _read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended += 1
            self.changed.notify_all()

    def send(self, command):
        try:
            self.popen.stdin.write(command + "\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"{self.name} {self.argv[1:]} ended before {command!r}: "
                                 f"{self.lines[-5:]} {self.errors[-10:]}") from None

    def seen(self, pattern):
        """Match of the first line, of all there are, that fits."""
        with self.changed:
            return next((m for m in (re.fullmatch(pattern, line) for line in self.lines) if m),
                        None)

    def mark(self):
        """Later expect() calls look at lines from here on."""
        with self.changed:
            self.at = len(self.lines)

    def _find(self, lines, start, pattern):
        for index in range(start, len(lines)):
            match = re.fullmatch(pattern, lines[index])
            if match:
                return index, match
        return None

    def expect(self, pattern, deadline=None):
        """Wait for a line on stdout after the last one that was expected."""
        end = time.monotonic() + (deadline or DEADLINE)
        with self.changed:
            while True:
                found = self._find(self.lines, self.at, pattern)
                if found:
                    self.at = found[0] + 1
                    return found[1]
                left = end - time.monotonic()
                if left <= 0 or self.ended == 2:
                    why = "deadline" if left <= 0 else f"{self.name} ended"
                    raise AssertionError(f"{why}: waited for {pattern!r} from {self.name} "
                                         f"{self.argv[1:]}\nsince then: {self.lines[self.at:][-20:]}"
                                         f"\nstderr: {self.errors[-20:]}")
                self.changed.wait(left)

    def expect_error(self, pattern, deadline=None):
        """Wait for a line anywhere in stderr that contains the pattern."""
        end = time.monotonic() + (deadline or DEADLINE)
        with self.changed:
            while True:
                for line in self.errors:
                    match = re.search(pattern, line)
                    if match:
                        return match
                left = end - time.monotonic()
                if left <= 0 or self.ended == 2:
                    raise AssertionError(f"waited for {pattern!r} in the stderr of {self.name}: "
                                         f"{self.errors[-20:]}")
                self.changed.wait(left)

    def ask(self, command, pattern, deadline=None):
        self.mark()
        self.send(command)
        return self.expect(pattern, deadline)

    def wait(self, deadline=None):
        """Exit status, after all its output was read."""
        try:
            status = self.popen.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"deadline: waited for the end of {self.argv}: "
                                 f"{self.lines[-10:]} {self.errors[-10:]}") from None
        for thread in self.threads:
            thread.join(DEADLINE)
        return status

    def running(self):
        return self.popen.poll() is None

    def stop(self, deadline=None):
        if self.running():
            self.popen.terminate()
            try:
                self.popen.wait(deadline or DEADLINE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                raise AssertionError(f"{self.name} did not end on SIGTERM") from None
        return self.popen.returncode

    def kill(self):
        if self.running():
            self.popen.kill()
            self.popen.wait()


class Sway:
    """sway headless with IPC; its windows fill their tiles without borders."""

    def __init__(self, rig, size=(640, 480), config="", outputs=1):
        self.rig = rig
        self.size = size
        ready = rig.dir / f"sway-{rig.number()}"
        path = rig.dir / f"{ready.name}.conf"
        path.write_text(
            "xwayland disable\ndefault_border none\nfocus_follows_mouse no\n"
            "default_floating_border none\n"
            "output * bg #101010 solid_color\n"
            f"output HEADLESS-1 resolution {size[0]}x{size[1]}\n{config}\n"
            f"exec sh -c 'echo \"$WAYLAND_DISPLAY $SWAYSOCK\" > {ready}.tmp && "
            f"mv {ready}.tmp {ready}'\n")
        env = dict(rig.env, WLR_BACKENDS="headless", WLR_RENDERER="pixman",
                   WLR_LIBINPUT_NO_DEVICES="1", WLR_HEADLESS_OUTPUTS=str(outputs))
        env.pop("WAYLAND_DISPLAY", None)
        self.process = rig.start(["sway", "-c", str(path)], env)
        wait_until(lambda: ready.exists() or not self.process.running(), "sway to start")
        assert self.process.running(), self.process.errors
        self.display, self.sock = ready.read_text().split()

    def ipc(self, command, kind=0):
        payload = command.encode()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(self.sock)
            sock.sendall(b"i3-ipc" + struct.pack("=II", len(payload), kind) + payload)
            head = self._all(sock, 14)
            return json.loads(self._all(sock, struct.unpack("=I", head[6:10])[0]))

    @staticmethod
    def _all(sock, size):
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            assert more, "sway closed its IPC connection"
            data += more
        return data

    def run(self, command):
        for answer in self.ipc(command):
            assert answer["success"], (command, answer)

    def nodes(self):
        """What sway tells of its windows, by title."""
        found = {}
        queue = collections.deque([self.ipc("", 4)])
        while queue:
            node = queue.popleft()
            queue.extend(node["nodes"] + node["floating_nodes"])
            if node.get("pid") and node["type"] in ("con", "floating_con"):
                found[node["name"]] = node
        return found

    def windows(self):
        """Rectangles by title."""
        return {name: node["rect"] for name, node in self.nodes().items()}

    def focus(self, client, title):
        """Give a client's window the keyboard."""
        client.mark()
        self.run(f'[title="^{title}$"] focus')

    def screenshot(self, output=None):
        """(width, height, RGB bytes)."""
        argv = ["grim"] + (["-o", output] if output else []) + ["-t", "ppm", "-"]
        done = subprocess.run(argv, env=dict(self.rig.env, WAYLAND_DISPLAY=self.display),
                              capture_output=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        head = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", done.stdout)
        return int(head[1]), int(head[2]), done.stdout[head.end():]

    def colors(self, titles=None):
        """Color (RRGGBB) of the middle of each window, by title; None where one isn't uniform."""
        width, height, data = self.screenshot()
        found = {}
        for title, rect in self.windows().items():
            if titles is not None and title not in titles:
                continue
            spots = set()
            for fx, fy in ((0.5, 0.5), (0.1, 0.1), (0.9, 0.9)):
                x = min(rect["x"] + int(rect["width"] * fx), width - 1)
                y = min(rect["y"] + int(rect["height"] * fy), height - 1)
                spots.add(data[(y * width + x) * 3:][:3].hex())
            found[title] = spots.pop() if len(spots) == 1 else None
        return found

    def wait_colors(self, wanted, deadline=None):
        wait_until(lambda: self.colors(wanted) == wanted,
                   lambda: f"these pixels: {wanted} (have {self.colors(wanted)})", deadline)


class Bridge:
    """causeway-host and causeway-guest between a compositor and the guest's socket."""

    def __init__(self, rig, compositor, guest_args=(), host_args=(), kind=None, guest_limits=None,
                 host_limits=None, guest_prefix=()):
        """..._limits: {resource.RLIMIT_...: hard limit} that the program starts with. guest_prefix: of its
        command line, a program that becomes it."""
        self.rig = rig
        self.guest_prefix = list(guest_prefix)
        self.guest_limits, self.host_limits = guest_limits, host_limits
        self.kind = kind or BRIDGE
        number = rig.number()
        self.socket = str(rig.dir / f"host-{number}.sock")
        self.display = f"guest-{number}"
        self.compositor = compositor
        self.guest_args, self.host_args = list(guest_args), list(host_args)
        self.guest = self.host = None
        if self.kind == "direct":
            self.display = compositor.display
            return
        self.start_host()
        self.start_guest()

    def start_host(self):
        if self.kind == "waypipe":
            argv = ["waypipe", "--socket", self.socket, "client"]
        else:
            argv = [program("causeway-host"), "--socket", self.socket, "--app-id-prefix", "",
                    "--title-mark", "", *self.host_args]
        env = dict(self.rig.env, WAYLAND_DISPLAY=self.compositor.display)
        self.host = self.rig.start(argv, env, preexec_fn=limiter(self.host_limits))
        self._wait_socket(self.socket, self.host)

    def start_guest(self):
        if self.kind == "waypipe":
            argv = ["waypipe", "--socket", self.socket, "--display", self.display, "server", "--",
                    "sleep", "infinity"]
        else:
            argv = [program("causeway-guest"), "--transport", f"socket:{self.socket}", "--socket",
                    self.display, *self.guest_args]
        env = dict(self.rig.env)
        env.pop("WAYLAND_DISPLAY", None)
        self.guest = self.rig.start([*self.guest_prefix, *argv], env,
                                    preexec_fn=limiter(self.guest_limits))
        self.guest.name = os.path.basename(argv[0])
        self._wait_socket(str(self.rig.dir / self.display), self.guest)

    @staticmethod
    def _wait_socket(path, process):
        def listening():
            assert process.running(), f"{process.argv} ended: {process.errors[-10:]}"
            # Not by connecting: that would be a client. The kernel's list knows.
            with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
                bound = {line.split()[-1] for line in file if line.split()[3] == "00010000"}
            # waypipe binds by a relative name.
            return path in bound or (process.name == "waypipe" and os.path.exists(path))
        wait_until(listening, f"a socket at {path}")

    def processes(self):
        return [p for p in (self.guest, self.host) if p]

    def x_display(self):
        """DISPLAY for X11 programs."""
        return self.guest.expect_error(r"X11 programs: display (:\d+)")[1]


class Rig:
    """One test's processes in a runtime folder of its own."""

    def __init__(self, tmp):
        self.dir = pathlib.Path(tmp)
        os.chmod(self.dir, 0o700)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("WAYLAND", "CAUSEWAY_TRANSPORT", "SWAY", "DBUS_", "XDG_CURRENT"))
                    and k != "DISPLAY"}
        self.env["XDG_RUNTIME_DIR"] = str(self.dir)
        self.started = []
        self.count = 0

    def number(self):
        self.count += 1
        return self.count

    def start(self, argv, env=None, **kwargs):
        process = Process(argv, env or self.env, **kwargs)
        self.started.append(process)
        return process

    def run(self, argv, env):
        """A program from start to end, with its text."""
        return subprocess.run(argv, env=env, text=True, capture_output=True, timeout=DEADLINE,
                              check=False)

    def sway(self, **kwargs):
        return Sway(self, **kwargs)

    def bridge(self, compositor, **kwargs):
        return Bridge(self, compositor, **kwargs)

    def probe(self, display, *args, window=False):
        """A driven client; args: app id, color, seat."""
        client = self.start([program("probe"), *args], dict(self.env, WAYLAND_DISPLAY=display))
        client.expect("ready")
        if window:
            client.send("window")
            client.expect(r"mapped \d+ \d+")
        return client

    def x_window(self, bridge):
        """A driven X11 program, without a window."""
        env = dict(self.env, DISPLAY=bridge.x_display())
        client = self.start([program("x-window")], env)
        client.expect("ready")
        return client

    def virtual_input(self, display, *args):
        device = self.start([program("virtual-input"), *args],
                            dict(self.env, WAYLAND_DISPLAY=display))
        device.expect("ready")
        return device

    def finish(self):
        problems = []
        for process in reversed(self.started):
            if process.name in ("causeway-guest", "causeway-host"):
                # An orderly end, so that a leak is found where the build looks for leaks.
                try:
                    process.stop()
                    process.wait()
                except AssertionError as error:
                    problems.append(str(error))
                crashed = process.popen.returncode not in (0, -signal.SIGKILL) and \
                    not getattr(process, "may_fail", False)
                report = [line for line in process.errors
                          if "Sanitizer" in line or "runtime error" in line]
                # pytest shows it if the test has failed.
                print(process.name, process.pid, "said:", *process.errors[-15:], sep="\n  ")
                if crashed or report:
                    problems.append((process.argv, process.popen.returncode,
                                     report, process.errors[-15:]))
            elif process.name == "sway":
                print("sway said:", *process.errors[-15:], sep="\n  ")
            process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not problems, problems


def counts(process):
    """(open fds, anonymous memory in KiB) of a process."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    rss = int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])
    return len(os.listdir(f"/proc/{process.pid}/fd")), rss
