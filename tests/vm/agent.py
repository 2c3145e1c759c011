#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""First process of the guest: runs programs for the host's tests (guest.py has the other end).

Lines of JSON over a virtio-serial port. A request has "id" and "op" and gets one answer with the same
"id" and either "ok" or "error". Between answers come the events of the programs: {"proc": N, "fd": 1 or
2, "data": base64}, end of a stream without data, and {"proc": N, "status": as Popen.returncode}.
"""
import base64
import json
import os
import selectors
import signal
import sys
import time

PORTS = "/sys/class/virtio-ports"
MOST_OUTPUT = 4 << 20  # bytes kept of each stream of a program
SYSRQ = {"reboot": "b", "poweroff": "o"}


def port():
    """The agent's virtio-serial port. It may appear after user space has."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for name in os.listdir(PORTS) if os.path.isdir(PORTS) else ():
            with open(f"{PORTS}/{name}/name", encoding="ascii") as file:
                if file.read().strip() == "causeway.agent":
                    return os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.02)
    raise TimeoutError("no port of the name causeway.agent within 30 s")


class Program:
    """A program that runs: its process, and the pipes to and from it."""

    def __init__(self, number, argv, env, cwd):
        self.number = number
        self.streams = {}
        self.sent = {1: 0, 2: 0}
        inner, self.stdin = os.pipe2(os.O_CLOEXEC)
        ends = {0: inner}
        for fd in (1, 2):
            mine, ends[fd] = os.pipe2(os.O_CLOEXEC)
            self.streams[mine] = fd
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                for fd, end in ends.items():
                    os.dup2(end, fd)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.chdir(cwd)
                os.execvpe(argv[0], argv, env)
            except OSError as error:
                os.write(2, f"agent: {argv[0]}: {error}\n".encode())
            finally:
                os._exit(127)
        for end in ends.values():
            os.close(end)

    def close_stdin(self):
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1


class Agent:
    """Serves the port."""

    def __init__(self):
        self.port = port()
        self.selector = selectors.DefaultSelector()
        self.programs = {}
        self.input = b""
        # A child's end shows as readable bytes, among the other things to wait for.
        self.child_pipe, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.selector.register(self.child_pipe, selectors.EVENT_READ, self.on_child)
        self.selector.register(self.port, selectors.EVENT_READ, self.on_request)

    def send(self, **message):
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.port, data):]

    def run(self):
        self.send(hello=os.uname().release, uptime=time.clock_gettime(time.CLOCK_BOOTTIME))
        while True:
            for key, _ in self.selector.select():
                key.data(key.fd)

    def on_request(self, fd):
        data = os.read(fd, 1 << 16)
        if not data:
            # Nobody is connected at the host's side.
            time.sleep(0.05)
        self.input += data
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                answer = getattr(self, "op_" + request["op"])(request)
                self.send(id=request["id"], ok=answer)
            except (OSError, KeyError, ValueError) as error:
                self.send(id=request["id"], error=f"{type(error).__name__}: {error}")

    def on_output(self, fd, program):
        data = os.read(fd, 1 << 16)
        stream = program.streams[fd]
        left = MOST_OUTPUT - program.sent[stream]
        program.sent[stream] += len(data)
        if data and left > 0:
            self.send(proc=program.number, fd=stream, data=base64.b64encode(data[:left]).decode())
        if not data:
            self.selector.unregister(fd)
            os.close(fd)
            del program.streams[fd]
            self.send(proc=program.number, fd=stream)

    def on_child(self, fd):
        os.read(fd, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in self.programs.values():
                if program.pid == pid:
                    program.pid = 0
                    self.send(proc=program.number, status=os.waitstatus_to_exitcode(status))

    def op_spawn(self, request):
        number = len(self.programs)
        program = Program(number, request["argv"], request["env"], request["cwd"])
        self.programs[number] = program
        for fd in program.streams:
            self.selector.register(fd, selectors.EVENT_READ,
                                   lambda fd, program=program: self.on_output(fd, program))
        return {"proc": number, "pid": program.pid}

    def op_stdin(self, request):
        program = self.programs[request["proc"]]
        data = base64.b64decode(request["data"])
        try:
            while data:
                data = data[os.write(program.stdin, data):]
        finally:
            if request.get("eof"):
                program.close_stdin()

    def op_signal(self, request):
        program = self.programs[request["proc"]]
        if program.pid:
            if request.get("group"):
                os.killpg(program.pid, request["signal"])
            else:
                os.kill(program.pid, request["signal"])
        return bool(program.pid)

    def op_read(self, request):
        with open(request["path"], "rb") as file:
            data = file.read(request.get("most", MOST_OUTPUT))
        return base64.b64encode(data).decode()

    def op_write(self, request):
        """Make a file, or add to it."""
        path = request["path"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab" if request.get("append") else "wb") as file:
            file.write(base64.b64decode(request["data"]))
        os.chmod(path, request["mode"])

    def op_makedirs(self, request):
        os.makedirs(request["path"], exist_ok=True)

    def op_list(self, request):
        return sorted(os.listdir(request["path"]))

    def op_sysrq(self, request):
        with open("/proc/sysrq-trigger", "w", encoding="ascii") as file:
            file.write(SYSRQ[request["what"]])


if __name__ == "__main__":
    try:
        Agent().run()
    except BaseException as error:  # the kernel panics if this process ends: say why
        print("causeway: error: agent:", repr(error), file=sys.stderr, flush=True)
        raise
