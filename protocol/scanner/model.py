# SPDX-License-Identifier: MIT
"""Wayland XML to a model of interfaces, messages and arguments, with line numbers for errors."""
import re

from xml.parsers import expat

# What may become part of a name in C.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NUMBER = re.compile(r"[0-9]{1,3}")
ARG_KINDS = ("int", "uint", "fixed", "string", "object", "new_id", "array", "fd")


class ScanError(Exception):
    """An input file is wrong. Printed as file:line: text."""

    def __init__(self, path, line, text):
        """line: counted from 1."""
        super().__init__(f"{path}:{line}: {text}")


class Arg:
    """One wire argument. interface is a name, or None for any."""

    def __init__(self, name, kind, interface=None, nullable=False):
        """kind: one of ARG_KINDS."""
        self.name, self.kind, self.interface, self.nullable = name, kind, interface, nullable


class Message:
    """One request or event; policy fields are filled in by policy.py."""

    def __init__(self, interface, direction, name, since, destructor, where):
        """direction: request or event. where: (path, line)."""
        self.interface, self.direction, self.name = interface, direction, name
        self.since, self.destructor, self.where = since, destructor, where
        self.args = []
        self.fd_kind, self.denied, self.hooks = None, None, set()
        self.keep, self.key_of = None, None

    @property
    def key(self):
        """The name under which policy.txt knows the message."""
        return f"{self.interface.name}.{self.name}"

    @property
    def n_fds(self):
        """How many of the arguments are fds."""
        return sum(arg.kind == "fd" for arg in self.args)


class Interface:
    """One interface; flag and reason are filled in by policy.py."""

    def __init__(self, name, version, where):
        """where: (path, line)."""
        self.name, self.version, self.where = name, version, where
        self.requests, self.events = [], []
        self.flag, self.reason = None, None
        self.survives, self.gone = False, None
        self.is_global = False  # no message makes one; filled in by load()

    @property
    def key(self):
        """The name under which policy.txt knows the interface."""
        return self.name

    def messages(self):
        """Requests, then events: their order in br_msgs."""
        return self.requests + self.events

    def shape(self):
        """What must be equal for two definitions to be the same."""
        return self.version, [
            (m.direction, m.name, m.since, m.destructor,
             [(a.kind, a.interface, a.nullable) for a in m.args]) for m in self.messages()]


class Parser:
    """Reads one XML file. Source: the wayland.dtd of Wayland."""

    def __init__(self, path):
        """path: the XML file; read by run()."""
        self.path, self.interfaces = path, []
        self.interface = self.message = None
        self.expat = expat.ParserCreate()
        self.expat.StartElementHandler = self.start
        self.expat.EndElementHandler = self.end

    def run(self):
        """Read the file. Returns its interfaces."""
        try:
            with open(self.path, "rb") as f:
                self.expat.ParseFile(f)
        except expat.ExpatError as e:
            raise ScanError(self.path, e.lineno, expat.errors.messages[e.code]) from None
        return self.interfaces

    def fail(self, text):
        """Refuse the file at the line that expat is at."""
        raise ScanError(self.path, self.expat.CurrentLineNumber, text)

    def number(self, attrs, name, default=None):
        """An attribute that the tables keep in 8 bits."""
        text = attrs.get(name, default)
        if text is None:
            self.fail(f"attribute {name} is missing")
        if not NUMBER.fullmatch(text) or not 1 <= int(text) <= 255:
            self.fail(f"{name} {text!r} is not a number from 1 to 255")
        return int(text)

    def start(self, tag, attrs):
        """A tag opens. Tags that are not about the wire are passed over."""
        where = (self.path, self.expat.CurrentLineNumber)
        if tag in ("interface", "request", "event", "arg") and not attrs.get("name"):
            self.fail(f"{tag} without a name")
        if tag in ("interface", "request", "event", "arg") and not NAME.fullmatch(attrs["name"]):
            self.fail(f"{attrs['name']!r} is not a name")
        if tag == "interface":
            self.interface = Interface(attrs["name"], self.number(attrs, "version"), where)
            self.interfaces.append(self.interface)
        elif tag in ("request", "event"):
            if self.interface is None:
                self.fail(f"{tag} outside an interface")
            if attrs.get("type", "destructor") != "destructor":
                self.fail(f"{tag} {attrs['name']} has the unknown type {attrs['type']!r}")
            self.message = Message(self.interface, tag, attrs["name"],
                                   self.number(attrs, "since", "1"),
                                   attrs.get("type") == "destructor", where)
            if self.message.since > self.interface.version:
                self.fail(f"since is above the interface's version {self.interface.version}")
            messages = self.interface.requests if tag == "request" else self.interface.events
            messages.append(self.message)
        elif tag == "arg":
            self.start_arg(attrs)

    def start_arg(self, attrs):
        """An argument; an untyped new_id becomes three, as it does on the wire."""
        kind = attrs.get("type")
        if self.message is None:
            self.fail("arg outside a message")
        if kind not in ARG_KINDS:
            self.fail(f"argument {attrs['name']} has the unknown type {kind!r}")
        if attrs.get("allow-null", "false") not in ("true", "false"):
            self.fail(f"allow-null {attrs['allow-null']!r} is neither true nor false")
        nullable = attrs.get("allow-null") == "true"
        if nullable and kind not in ("string", "object"):
            self.fail(f"argument {attrs['name']} of type {kind} can't be null")
        if kind == "new_id" and "interface" not in attrs:
            self.message.args += [Arg("interface", "string"), Arg("version", "uint")]
        self.message.args.append(Arg(attrs["name"], kind, attrs.get("interface"), nullable))

    def end(self, tag):
        """A tag closes."""
        if tag == "interface":
            self.interface = None
        elif tag in ("request", "event"):
            self.message = None


def load(paths):
    """All interfaces of several files, in order; the same definition twice counts once."""
    found = {}
    for path in paths:
        for interface in Parser(path).run():
            other = found.get(interface.name)
            if other is None:
                found[interface.name] = interface
            elif other.shape() != interface.shape():
                raise ScanError(*interface.where,
                                f"{interface.name} is defined differently in {other.where[0]}")
    made = {arg.interface for interface in found.values() for message in interface.messages()
            for arg in message.args if arg.kind == "new_id"}
    for interface in found.values():
        interface.is_global = interface.name not in made and interface.name != "wl_display"
    return list(found.values())
