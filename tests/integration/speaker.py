# SPDX-License-Identifier: MIT
"""A Wayland client for any protocol of protocol/protocols.txt, which keeps what it is told.

    talk = speaker.Speaker(path)
    manager = talk.bind("zwp_text_input_manager_v3")
    text_input = manager.get_text_input(talk.bind("wl_seat"))
    text_input.enable()
    talk.sync()
    talk.heard("zwp_text_input_v3")

Requests are methods of the objects, with the XML's arguments less those that are new ids: the new object is
what comes back. It reads the XML itself and shares no code with the programs that it tests.
"""
import array
import collections
import functools
import hashlib
import os
import select
import socket
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree

import rig as lab

# Arguments whose values each connection, or each moment, has its own of: (part of) their names.
OWN = ("serial", "time", "tv_", "nsec", "timestamp", "identity", "token", "handle", "uid")


class Lost(Exception):
    """The connection is closed."""


Arg = collections.namedtuple("Arg", "name kind interface")
Message = collections.namedtuple("Message", "name args since destructor")
Interface = collections.namedtuple("Interface", "name version requests events")


def variable(package, name="pkgdatadir"):
    return subprocess.run(["pkg-config", f"--variable={name}", package], text=True, check=True,
                          capture_output=True).stdout.strip()


def read_message(node):
    args = []
    for arg in node.findall("arg"):
        if arg.get("type") == "new_id" and arg.get("interface") is None:
            args += [Arg("interface", "string", None), Arg("version", "uint", None)]
        args.append(Arg(arg.get("name"), arg.get("type"), arg.get("interface")))
    return Message(node.get("name"), args, int(node.get("since", 1)), node.get("type") == "destructor")


@functools.cache
def interfaces():
    """All that the tables know, by name."""
    folder = lab.CHECKOUT / "protocol"
    listed = subprocess.run(
        [sys.executable, str(folder / "find_xml.py"), str(folder / "protocols.txt"),
         variable("wayland-scanner"), variable("wayland-protocols")],
        text=True, check=True, capture_output=True).stdout
    found = {}
    for line in listed.splitlines():
        for node in xml.etree.ElementTree.parse(line.split("\t")[1]).iter("interface"):
            found[node.get("name")] = Interface(
                node.get("name"), int(node.get("version")),
                [read_message(m) for m in node.findall("request")],
                [read_message(m) for m in node.findall("event")])
    return found


class Object:
    """A protocol object. Its label names it alike in each run: the interface and the how-manieth."""

    def __init__(self, talk, name, number, version):
        self.talk, self.number, self.version = talk, number, version
        self.interface = interfaces()[name]
        talk.counts[name] += 1
        self.label = f"{name}#{talk.counts[name]}"
        talk.objects[number] = self

    def __getattr__(self, name):
        for opcode, message in enumerate(self.interface.requests):
            # Where C would have a keyword: destroy, delete, import_.
            if message.name == name.rstrip("_"):
                return functools.partial(self.talk.request, self, opcode, message)
        raise AttributeError(f"{self.interface.name} has no request {name}")

    def said(self, name):
        """Arguments of each event of this name that the object had so far."""
        return [args for label, event, args in self.talk.log if (label, event) == (self.label, name)]

    def wait(self, name, which=lambda args: True):
        """Read until the object had such an event; its arguments."""
        def found():
            return next((args for args in self.said(name) if which(args)), None)
        return self.talk.until(found, f"{self.label}.{name}")


class Peer:
    """One end of a connection. .log has (label, message, {argument: value}) of what came."""

    def __init__(self, sock, deadline=None):
        self.deadline = deadline or lab.DEADLINE
        self.sock = sock
        self.data, self.fds = b"", collections.deque()
        self.objects, self.counts = {}, collections.Counter()
        self.log, self.error = [], None

    def incoming(self, target):
        """The messages that an object may bring."""
        raise NotImplementedError

    def react(self, target, message, args):
        """Something came."""

    # --- out ---

    @staticmethod
    def encode(kind, value):
        if kind in ("object", "new_id"):
            return struct.pack("=I", value.number if value is not None else 0)
        if kind == "fixed":
            return struct.pack("=i", round(value * 256))
        if kind in ("int", "uint"):
            return struct.pack("=I", value & 0xffffffff)
        if value is None:
            return struct.pack("=I", 0)
        data = value.encode() + b"\0" if kind == "string" else bytes(value)
        return struct.pack("=I", len(data)) + data + b"\0" * (-len(data) % 4)

    def message(self, target, opcode, message, values):
        """values: of all arguments; new ids are objects."""
        body = b"".join(self.encode(arg.kind, value) for arg, value in zip(message.args, values)
                        if arg.kind != "fd")
        fds = [value for arg, value in zip(message.args, values) if arg.kind == "fd"]
        self.send(struct.pack("=II", target.number, (len(body) + 8) << 16 | opcode) + body, fds)

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], ancillary)
            self.sock.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            self.drain()

    def drain(self):
        """It was closed: the reason is still to be read."""
        while self.read(0):
            pass
        raise Lost(self.error)

    # --- in ---

    def read(self, timeout):
        """Take what comes. False: nothing came in time."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return False
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 64)
        except ConnectionResetError:
            data, fds = b"", []
        self.fds.extend(fds)
        if not data:
            raise Lost(self.error)
        self.data += data
        while len(self.data) >= 8:
            number, word = struct.unpack("=II", self.data[:8])
            if len(self.data) < word >> 16:
                break
            body, self.data = self.data[8:word >> 16], self.data[word >> 16:]
            self.take(self.objects[number], word & 0xffff, body)
        return True

    def take(self, target, opcode, body):
        message = self.incoming(target)[opcode]
        args = {}
        for arg in message.args:
            args[arg.name], body = self.decode(target, arg, body, args)
        assert not body, f"{target.label}.{message.name} is too long"
        self.log.append((target.label, message.name, args))
        self.react(target, message, args)

    def decode(self, target, arg, body, before):
        """A value, and the rest. Objects become their labels, files their size and a hash."""
        if arg.kind == "fd":
            return content(self.fds.popleft()), body
        word = struct.unpack("=I", body[:4])[0]
        rest = body[4:]
        if arg.kind == "uint":
            return word, rest
        if arg.kind == "int":
            return word - (word >> 31 << 32), rest
        if arg.kind == "fixed":
            return (word - (word >> 31 << 32)) / 256, rest
        if arg.kind == "new_id":
            name, version = arg.interface, target.version
            if name is None:
                name, version = before["interface"], before["version"]
            return Object(self, name, word, version).label, rest
        if arg.kind == "object":
            known = self.objects.get(word)
            return known.label if known else (f"gone {word}" if word else None), rest
        data, rest = rest[:word], rest[word + -word % 4:]
        if arg.kind == "array":
            return data.hex(), rest
        return data[:-1].decode(errors="replace") if word else None, rest

    def by_label(self, label):
        return next(made for made in self.objects.values() if made.label == label)

    def close(self):
        self.sock.close()
        while self.fds:
            os.close(self.fds.popleft())

    def heard(self, *names):
        """What these interfaces' objects brought, in order, without what each run has its own of."""
        return [(label, message, {key: value for key, value in args.items()
                                  if not any(part in key for part in OWN)})
                for label, message, args in self.log if label.split("#")[0] in names]


def content(fd):
    """A file's size and a hash. Takes the fd."""
    size = os.lseek(fd, 0, os.SEEK_END)
    text = os.pread(fd, size, 0)
    os.close(fd)
    return f"{len(text)} bytes {hashlib.sha256(text).hexdigest()[:16]}"


class Speaker(Peer):
    """A client's connection; .log has the events, .error (label, code, text) or None."""

    def __init__(self, path, deadline=None):
        super().__init__(socket.socket(socket.AF_UNIX), deadline)
        self.sock.settimeout(self.deadline)
        self.sock.connect(str(path))
        self.next_id = 1
        self.display = self.make("wl_display", 1)
        self.registry = self.display.get_registry()
        self.sync()

    def incoming(self, target):
        return target.interface.events

    def make(self, name, version):
        self.next_id += 1
        return Object(self, name, self.next_id - 1, version)

    # --- globals ---

    def globals(self):
        """[(interface, version, name)] that are there now, in the order of their announcements."""
        gone = {args["name"] for args in self.registry.said("global_remove")}
        return [(args["interface"], args["version"], args["name"])
                for args in self.registry.said("global") if args["name"] not in gone]

    def version(self, name):
        """The highest that is offered; 0: none."""
        return max([0] + [version for known, version, _ in self.globals() if known == name])

    def bind(self, name, version=None, index=0):
        """Bind the index-th global of this interface, at the highest version that both know."""
        offered = [(most, number) for known, most, number in self.globals() if known == name]
        assert offered, f"{name} is not offered"
        most, number = offered[index]
        made = self.make(name, min(version or most, most, interfaces()[name].version))
        self.request(self.registry, 0, interfaces()["wl_registry"].requests[0], number, name,
                     made.version, made)
        return made

    def request(self, target, opcode, message, *values):
        values = collections.deque(values)
        filled, made = [], None
        for arg in message.args:
            if arg.kind == "new_id" and arg.interface is not None:
                made = self.make(arg.interface, target.version)
                filled.append(made)
            else:
                assert values, f"{message.name} lacks {arg.name}"
                filled.append(values.popleft())
        assert not values, f"{message.name}: {values} too many"
        self.message(target, opcode, message, filled)
        return made

    def react(self, target, message, args):
        if target.interface.name == "xdg_wm_base":
            target.pong(args["serial"])
        elif target.number == 1 and message.name == "error":
            self.error = (args["object_id"], args["code"], args["message"])

    # --- waiting ---

    def until(self, found, what):
        """Read until found() is true; its value."""
        end = time.monotonic() + self.deadline
        while True:
            value = found()
            if value is not None and value is not False:
                return value
            left = end - time.monotonic()
            assert left > 0 and self.read(left), f"deadline: waited for {what}; last: {self.log[-10:]}"

    def sync(self):
        self.display.sync().wait("done")

    def failure(self, *calls):
        """(label, code) of the error that the calls end the connection with."""
        try:
            for call in calls:
                call()
            self.sync()
        except Lost:
            pass
        assert self.error, "no error came"
        return self.error[:2]


class Window:
    """A mapped toplevel of one colour; fullscreen, so that it is where the pointer is, unless it is told a
    size."""

    def __init__(self, talk, title="speaker", size=None, color=0xff336699, before=None):
        """before: called with the window before it is mapped."""
        self.talk, self.size = talk, size
        self.compositor = talk.bind("wl_compositor")
        self.shm = talk.bind("wl_shm")
        self.wm_base = talk.bind("xdg_wm_base")
        self.surface = self.compositor.create_surface()
        self.xdg_surface = self.wm_base.get_xdg_surface(self.surface)
        self.toplevel = self.xdg_surface.get_toplevel()
        self.toplevel.set_title(title)
        self.toplevel.set_app_id("speaker")
        if size is None:
            self.toplevel.set_fullscreen(None)
        if before:
            before(self)
        self.surface.commit()
        self.configured = 0
        self.ack()
        self.size = size or self.wanted() or (100, 100)
        self.buffer = self.fill(color)
        self.commit(self.buffer)
        if size is None and self.size != (self.wanted() or self.ack() or self.wanted()):
            self.size = self.wanted()
            self.buffer = self.fill(color)
            self.commit(self.buffer)

    def wanted(self):
        """The size that it was told last; None: any."""
        args = self.toplevel.said("configure")[-1]
        return (args["width"], args["height"]) if args["width"] else None

    def ack(self):
        """Wait for a configure that was not acknowledged yet, and do so."""
        serials = self.talk.until(
            lambda: self.xdg_surface.said("configure")[self.configured:] or None,
            f"{self.xdg_surface.label}.configure")
        self.configured += len(serials)
        self.xdg_surface.ack_configure(serials[-1]["serial"])

    def memory(self, size):
        fd = os.memfd_create("speaker")
        os.ftruncate(fd, size)
        return fd

    def fill(self, color, size=None):
        """A buffer, by default as large as the window."""
        width, height = size or self.size
        fd = self.memory(width * height * 4)
        os.pwrite(fd, struct.pack("=I", color) * (width * height), 0)
        pool = self.shm.create_pool(fd, width * height * 4)
        made = pool.create_buffer(0, width, height, width * 4, 0 if color >> 24 < 255 else 1)
        pool.destroy()
        os.close(fd)
        return made

    def commit(self, buffer=None):
        """Show it, and wait until the compositor has."""
        if buffer:
            self.surface.attach(buffer, 0, 0)
        self.surface.damage(0, 0, *self.size)
        callback = self.surface.frame()
        self.surface.commit()
        callback.wait("done")
