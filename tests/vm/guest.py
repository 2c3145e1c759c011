# SPDX-License-Identifier: MIT
"""A virtual machine that tests drive: QEMU, its guest, and the programs in it.

The other end of agent.py. Every wait has a deadline that says what it waited for; what fails tells the
end of the serial console with it.
"""
import base64
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import boot

BOOT_DEADLINE = float(os.environ.get("CAUSEWAY_BOOT_DEADLINE", "120"))
DEADLINE = 60
CHUNK = 256 << 10  # bytes of a file in one request
ENV = {"HOME": "/root", "USER": "root", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": "/run/user/0",
       "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class GuestError(AssertionError):
    """The guest, or a request to it, failed."""


class _Input:
    """A program's stdin, as Popen has it."""

    def __init__(self, program):
        self.program = program
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        data, self.text = self.text.encode(), ""
        self._send(data)

    def close(self):
        self._send(b"", eof=True)

    def _send(self, data, **more):
        try:
            self.program.vm.ask("stdin", proc=self.program.number,
                                data=base64.b64encode(data).decode(), **more)
        except GuestError as error:
            if "BrokenPipe" in str(error):
                raise BrokenPipeError(str(error)) from None
            raise


class GuestPopen:
    """A program in the guest, with the part of subprocess.Popen's interface that tests use."""

    def __init__(self, vm, argv, env=None, cwd="/"):
        self.vm = vm
        self.args = argv
        self.returncode = None
        self.ended = threading.Event()
        self.lost = False
        self.writers = {}
        readers = []
        for fd in (1, 2):
            reader, self.writers[fd] = os.pipe()
            readers.append(os.fdopen(reader, "r", errors="replace", encoding="utf-8"))
        self.stdout, self.stderr = readers
        self.stdin = _Input(self)
        self.number = self.pid = None
        vm.spawn(self, argv, ENV if env is None else env, str(cwd))

    def heard(self, event):
        """An event of the agent's; on the reading thread."""
        if "status" in event:
            self.returncode = event["status"]
            self.ended.set()
        elif "data" in event:
            os.write(self.writers[event["fd"]], base64.b64decode(event["data"]))
        else:
            os.close(self.writers.pop(event["fd"]))

    def lose(self):
        """The guest is gone, or has started anew."""
        if not self.ended.is_set():
            self.lost = True
            self.returncode = -signal.SIGKILL
            self.ended.set()
        for fd in list(self.writers):
            os.close(self.writers.pop(fd))

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number, group=False):
        if self.returncode is None:
            self.vm.ask("signal", proc=self.number, signal=int(number), group=group)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Guest:
    """QEMU with a guest; ready to run programs once made. Its creator calls finish().

    devices: further arguments for QEMU. starter: a command that QEMU's is the end of, and which runs
    it. Others: see boot.arguments().
    """

    def __init__(self, devices=(), starter=(), env=None, **options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cw-vm-"))
        self.programs = {}
        self.early = {}
        self.answers = {}
        self.lock = threading.Lock()
        self.hellos = queue.Queue()
        self.count = 0
        self.sock = None
        self.release = None
        start = time.monotonic()
        # QEMU goes with us, even if we are killed.
        argv = ["setpriv", "--pdeathsig", "TERM", "--", *starter,
                *boot.arguments(self.folder, devices, **options)]
        with open(self.folder / "qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log)
        try:
            self._connect()
            self.wait_boot()
        except BaseException:
            self.finish()
            raise
        self.boot_seconds = time.monotonic() - start

    # The machine

    def running(self):
        return self.qemu.poll() is None

    def report(self, lines=60):
        """What there is to say about a failure."""
        text = []
        if not self.running():
            text.append(f"QEMU ended with status {self.qemu.returncode}")
        for name in ("qemu.log", "console.log"):
            path = self.folder / name
            if path.exists():
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                text.append(f"--- {name}\n" + "\n".join(tail))
        return "\n".join(text)

    def fail(self, what):
        raise GuestError(f"{what}\n{self.report()}")

    def _connect(self):
        end = time.monotonic() + 20
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(self.folder / "agent.sock"))
                break
            except OSError:
                sock.close()
                if not self.running() or time.monotonic() > end:
                    self.fail("waited for QEMU to listen for the agent")
                time.sleep(0.05)
        self.sock = sock
        threading.Thread(target=self._read, daemon=True).start()

    def wait_boot(self, deadline=None):
        """Until user space says that it is there."""
        end = time.monotonic() + (deadline or BOOT_DEADLINE)
        while True:
            try:
                self.release = self.hellos.get(timeout=0.5)
                return
            except queue.Empty:
                if not self.running() or time.monotonic() > end:
                    self.fail("waited for the guest's user space")

    def reboot(self):
        """Reset the machine, in the same QEMU, and wait for its user space."""
        self.ask_nothing("sysrq", what="reboot")
        self.wait_boot()

    def qmp(self, command, **arguments):
        """A command for QEMU's monitor; returns its answer."""
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rw") as lines:
            sock.settimeout(DEADLINE)
            sock.connect(str(self.folder / "qmp.sock"))
            for request in ({"execute": "qmp_capabilities"},
                            {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = {}
                # The greeting, and events, come between.
                while not answer.keys() & {"return", "error"}:
                    answer = json.loads(lines.readline())
                if "error" in answer:
                    self.fail(f"QEMU's monitor: {command}: {answer['error']}")
        return answer["return"]

    def power_off(self):
        """In order, by the guest; returns the status of QEMU, or of what has started it."""
        self.ask_nothing("sysrq", what="poweroff")
        try:
            return self.qemu.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            return self.fail(f"deadline: waited {DEADLINE} s for QEMU to end after a power-off")

    def finish(self):
        """End QEMU, whatever the guest is doing, and remove what it left."""
        if self.running():
            self.qemu.terminate()
            try:
                self.qemu.wait(10)
            except subprocess.TimeoutExpired:
                self.qemu.kill()
                self.qemu.wait()
        if self.sock:
            self.sock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The agent

    def _read(self):
        data = b""
        while True:
            try:
                more = self.sock.recv(1 << 16)
            except OSError:
                more = b""
            if not more:
                break
            data += more
            *lines, data = data.split(b"\n")
            for line in lines:
                try:
                    self._heard(json.loads(line))
                except (ValueError, OSError) as error:
                    # Half a line of an agent that a reset interrupted.
                    print("from the agent:", line[:200], error, file=sys.stderr)
        self._lose_all()

    def _lose_all(self):
        with self.lock:
            lost, self.programs = list(self.programs.values()), {}
            waiting, self.answers = list(self.answers.values()), {}
            self.early = {}
        for program in lost:
            program.lose()
        for answer in waiting:
            answer.put({"error": "the guest went away"})

    def _heard(self, message):
        if "hello" in message:
            self._lose_all()
            self.hellos.put(message["hello"])
        elif "id" in message:
            with self.lock:
                answer = self.answers.pop(message["id"], None)
            if answer:
                answer.put(message)
        else:
            with self.lock:
                program = self.programs.get(message["proc"])
                if not program:
                    self.early.setdefault(message["proc"], []).append(message)
            if program:
                program.heard(message)

    def ask_nothing(self, op, **request):
        """Send a request whose answer will not come."""
        with self.lock:
            self.sock.sendall(json.dumps(dict(request, id=0, op=op)).encode() + b"\n")

    def ask(self, op, deadline=DEADLINE, **request):
        answer = queue.Queue()
        with self.lock:
            self.count += 1
            self.answers[self.count] = answer
            self.sock.sendall(json.dumps(dict(request, id=self.count, op=op)).encode() + b"\n")
        try:
            got = answer.get(timeout=deadline)
        except queue.Empty:
            self.fail(f"deadline: waited {deadline} s for the guest's answer to {op}")
        if "error" in got:
            if not self.running():
                self.fail(f"{op}: {got['error']}")
            raise GuestError(f"guest: {op}: {got['error']}")
        return got["ok"]

    def spawn(self, program, argv, env, cwd):
        got = self.ask("spawn", argv=[str(arg) for arg in argv], env=env, cwd=cwd)
        with self.lock:
            self.programs[got["proc"]] = program
            early = self.early.pop(got["proc"], [])
            program.number, program.pid = got["proc"], got["pid"]
            for event in early:
                program.heard(event)

    # Programs and files

    def popen(self, argv, env=None, cwd="/"):
        return GuestPopen(self, argv, env, cwd)

    def run(self, argv, env=None, cwd="/", deadline=DEADLINE, check=False):
        """Run a program to its end: subprocess.CompletedProcess with text."""
        program = self.popen(argv, env, cwd)
        said = {}

        def read(name):
            said[name] = getattr(program, name).read()
        threads = [threading.Thread(target=read, args=(name,), daemon=True)
                   for name in ("stdout", "stderr")]
        for thread in threads:
            thread.start()
        program.stdin.close()
        try:
            status = program.wait(deadline)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL, group=True)
            self.fail(f"deadline: waited {deadline} s for the end of {argv} in the guest: {said}")
        for thread in threads:
            thread.join(DEADLINE)
        if program.lost:
            self.fail(f"the guest went away while {argv} ran")
        done = subprocess.CompletedProcess(argv, status, said.get("stdout"), said.get("stderr"))
        if check and status:
            self.fail(f"{argv} in the guest: status {status}: {done.stdout[-2000:]} "
                      f"{done.stderr[-2000:]}")
        return done

    def shell(self, script, **options):
        """What a shell script in the guest says; it has to succeed."""
        return self.run(["sh", "-ec", script], check=True, **options).stdout

    def read(self, path):
        return base64.b64decode(self.ask("read", path=str(path)))

    def write(self, path, data, mode=0o644):
        for start in range(0, max(len(data), 1), CHUNK):
            self.ask("write", path=str(path), mode=mode, append=start > 0,
                     data=base64.b64encode(data[start:start + CHUNK]).decode())

    def ship(self, path):
        """Copy a file or folder of the host's to the same path in the guest."""
        path = pathlib.Path(path)
        if path.is_file():
            self.write(path, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        else:
            self.ask("makedirs", path=str(path))
            for entry in path.iterdir():
                if entry.is_file() or entry.is_dir():
                    self.ship(entry)

    def dmesg(self):
        return self.shell("dmesg")
