# SPDX-License-Identifier: MIT
"""policy.txt: what the XML does not say. Its syntax is described at its head."""
import shlex

from model import ScanError

FD_KINDS = {"file": "BR_FD_FILE", "shm": "BR_FD_SHM", "dmabuf": "BR_FD_DMABUF",
            "pipe-write": "BR_FD_PIPE_WRITE"}
KEEPS = {"none": "BR_KEEP_NONE", "each": "BR_KEEP_EACH"}
SIDES = {"guest": {"guest"}, "host": {"host"}, "both": {"guest", "host"}}


class Line:
    """One line of policy.txt."""

    def __init__(self, path, number, words, optional):
        """words: at least the subject and the verb. optional: the subject may be unknown."""
        self.where = (path, number)
        self.subject, self.verb, self.rest = words[0], words[1], words[2:]
        self.optional = optional

    def fail(self, text):
        """Refuse the policy at this line."""
        raise ScanError(*self.where, text)

    def option(self, problem, known=None):
        """The one word behind the verb: one of known, or any that is not empty."""
        self.nothing_behind(1)
        if not self.rest or not self.rest[0] or (known and self.rest[0] not in known):
            self.fail(problem)
        return self.rest[0]

    def nothing_behind(self, count):
        """Allow count words behind the verb."""
        if len(self.rest) > count:
            self.fail(f"nothing may follow: {self.rest[count]!r}")


def read(path):
    """All lines; those behind 'optional' may match nothing."""
    optional = False
    with open(path, "rb") as f:
        for number, text in enumerate(f, 1):
            try:
                words = shlex.split(text.decode("utf-8"), comments=True)
            except ValueError as e:
                raise ScanError(path, number, str(e)) from None
            if words == ["optional"]:
                optional = True
            elif len(words) == 1:
                raise ScanError(path, number, f"{words[0]}: what about it?")
            elif words:
                yield Line(path, number, words, optional)


def apply_to_message(line, messages):
    """Put a line onto all messages of its name: a request, an event or both."""
    if line.verb == "fd":
        kind = line.option(f"fd kinds are {', '.join(FD_KINDS)}", FD_KINDS)
        for message in messages:
            if not message.n_fds:
                line.fail(f"{message.key} carries no fd")
            if message.fd_kind:
                line.fail(f"{message.key} has an fd kind already")
            message.fd_kind = kind
    elif line.verb == "deny":
        reason = line.option("deny needs a reason")
        for message in messages:
            message.denied = reason
    elif line.verb == "hook":
        side = line.option(f"hooks are for {', '.join(SIDES)}", SIDES)
        for message in messages:
            message.hooks |= SIDES[side]
    elif line.verb == "destructor":
        line.nothing_behind(0)
        for message in messages:
            message.destructor = True
    elif line.verb == "keep":
        for message in messages:
            message.keep = line.option(f"keep is {' or '.join(KEEPS)}", KEEPS)
    elif line.verb == "replaces":
        others = [m.name for m in messages[0].interface.requests]
        for message in messages:
            message.key_of = others.index(line.option("replaces needs a request", others))
    else:
        line.fail(f"unknown word {line.verb!r} for a message")


def apply_to_interface(line, interface):
    """Put a line onto an interface."""
    if line.verb == "survives":
        events = [m.name for m in interface.events]
        interface.survives = True
        if line.rest:
            interface.gone = events.index(line.option("survives takes an event", events))
        return
    if line.verb not in ("offered", "privileged", "hidden"):
        line.fail(f"unknown word {line.verb!r} for an interface")
    if interface.reason:
        line.fail(f"{interface.name} has a reason already")
    interface.flag = line.verb if line.verb != "offered" else None
    interface.reason = line.option(f"{line.verb} needs a reason")


def apply(interfaces, path):
    """Put the policy onto the model. A line that matches nothing is an error."""
    by_name = {interface.name: interface for interface in interfaces}
    for line in read(path):
        name, _, message_name = line.subject.partition(".")
        interface = by_name.get(name)
        messages = [m for m in interface.messages() if m.name == message_name] if interface else []
        if interface is None or (message_name and not messages):
            if line.optional and interface is None:
                continue
            line.fail(f"{line.subject} matches nothing")
        if message_name:
            apply_to_message(line, messages)
        else:
            apply_to_interface(line, interface)
