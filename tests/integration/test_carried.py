# SPDX-License-Identifier: MIT
"""Each message of each protocol for programs crosses the bridge as it is, whether a compositor here has the
protocol or not: both ends are ours."""
import os
import re
import subprocess
import tempfile

import pytest

import rig as lab
from listener import Listener
from speaker import Speaker, content, interfaces

pytestmark = [pytest.mark.timeout(60),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about causeway's own programs")]

# What these carry is changed on the way, or is more than one message: they have tests of their own.
ELSEWHERE = re.compile("wl_.*|zwp_linux_.*|wp_linux_.*|wp_presentation.*|wp_commit_tim.*|zwp_input_timestamps.*|"
                       "xwayland_.*|wp_fifo.*|zwp_xwayland_.*|.*primary_selection_(offer|source).*")
# Their buffers have memory, which has to be right; a single pixel does as well.
MEMORY = ("wl_shm_pool", "zwp_linux_buffer_params_v1")
# Of whose events an object gets one.
ALTERNATIVES = ("wp_image_description_v1",)
DATA = b"some bytes" * 100


def offered():
    done = subprocess.run([lab.program("causeway-host"), "--print-policy"], text=True, check=True,
                          capture_output=True, timeout=lab.DEADLINE)
    return re.findall(r"^(\w+) +[1-9]\d* +offered", done.stdout, re.M)


def creators(name):
    """(interface, message, is a request) of all messages that make one."""
    for owner in interfaces().values():
        for messages, requests in ((owner.requests, True), (owner.events, False)):
            for message in messages:
                if any(arg.kind == "new_id" and arg.interface == name for arg in message.args):
                    yield owner.name, message, requests


class Ends:
    """A client and the compositor that it speaks to through the bridge."""

    def __init__(self, rig, listener, bridge):
        self.listener = listener
        self.talk = Speaker(rig.dir / bridge.display)
        self.host = listener.callers[-1]
        self.made = {}
        self.sent = []
        self.count = 0

    def get(self, name):
        """The client's object of an interface, the same each time."""
        if name not in self.made:
            self.made[name] = self.new(name)
        return self.made[name]

    def new(self, name, path=()):
        if self.talk.version(name):
            return self.talk.bind(name)
        for owner, message, requests in creators(name):
            if owner in (*path, name, "wl_registry", *MEMORY) or not self.can(owner, (*path, name)):
                continue
            parent = self.made.get(owner) or self.new(owner, (*path, name))
            self.made[owner] = parent
            if requests:
                return self.ask(parent, message)
            return self.tell(parent, message)
        raise AssertionError(f"nothing makes a {name}")

    def can(self, name, path):
        return bool(self.talk.version(name)) or any(
            owner not in path and self.can(owner, (*path, name)) for owner, _, _ in creators(name))

    def values(self, message, end):
        """Arguments unlike each other, and what they are at the other end. end: turns an object of the
        client's into one of the sender's."""
        values, seen = [], {}
        for arg in message.args:
            self.count += 1
            if arg.kind == "new_id":
                continue
            if arg.kind in ("object",):
                made = self.get(arg.interface)
                value, seen[arg.name] = end(made), made.label
            elif arg.kind == "fd":
                value = os.memfd_create("carried")
                os.write(value, DATA)
                seen[arg.name] = content(os.dup(value))
            else:
                value = {"int": -self.count, "uint": self.count, "fixed": self.count + 0.25,
                         "string": f"text {self.count} \u00e9", "array": bytes([self.count % 256] * 8)}[arg.kind]
                seen[arg.name] = value.hex() if arg.kind == "array" else value
            values.append(value)
        return values, seen

    def ask(self, target, message):
        """A request, from the client."""
        values, seen = self.values(message, lambda made: made)
        opcode = target.interface.requests.index(message)
        made = self.talk.request(target, opcode, message, *values)
        if made:
            seen[next(arg.name for arg in message.args if arg.kind == "new_id")] = made.label
        self.sent.append((target.label, message.name, seen))
        return made

    def tell(self, target, message):
        """An event, from the compositor."""
        self.talk.sync()
        values, seen = self.values(message, lambda made: self.twin(made))
        self.talk.sync()
        made = self.host.event(self.twin(target), message.name, *values)
        if made:
            seen[next(arg.name for arg in message.args if arg.kind == "new_id")] = made.label
        wanted = (target.label, message.name, seen)
        self.talk.until(lambda: wanted in self.talk.log or None, f"the event {wanted}")
        return self.talk.by_label(made.label) if made else None

    def twin(self, made):
        """The compositor's object of one that the client has."""
        def find():
            return next((twin for twin in list(self.host.objects.values()) if twin.label == made.label), None)
        return lab.wait_until(find, lambda: f"{made.label} at the host; {self.listener.failures}")


@pytest.fixture(scope="module", params=["all", "none"])
def line(request):
    """(rig, listener, bridge), with or without the channel's extensions."""
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    listener = Listener(rig, offered())
    yield rig, listener, rig.bridge(listener, guest_args=["--extensions", request.param],
                                    host_args=["--security-context", "off"])
    listener.close()
    rig.finish()


def names():
    """The interfaces of the protocols that programs are offered."""
    refused = set()
    for text in (lab.CHECKOUT / "protocol" / "policy.txt").read_text().splitlines():
        found = re.match(r"(\w+) (privileged|hidden) ", text)
        refused |= {found[1]} if found else set()

    def reached(name, path=()):
        if name in refused or name in path:
            return False
        makers = [owner for owner, _, _ in creators(name)]
        return not makers or any(reached(owner, (*path, name)) for owner in makers)
    return [name for name in interfaces() if not ELSEWHERE.fullmatch(name) and reached(name)]


@pytest.mark.parametrize("name", names())
def test_messages(line, name):
    ends = Ends(*line)
    target = ends.get(name)
    for message in sorted(target.interface.requests, key=lambda message: message.destructor):
        if message.since > target.version:
            continue
        ends.ask(target, message)
        if message.destructor:
            # It is gone; another for the next, if it can be had at all.
            ends.made.pop(name)
            target = ends.get(name)
    for message in target.interface.events:
        if message.since <= target.version and not any(
                arg.kind == "object" and arg.interface is None for arg in message.args):
            ends.tell(target, message)
            if message.destructor or name in ALTERNATIVES:
                ends.made.pop(name)
                target = ends.get(name)
    ends.talk.sync()
    assert not ends.listener.failures
    assert [entry for entry in ends.host.log if (entry[0], entry[1]) in {row[:2] for row in ends.sent}] == ends.sent
    ends.talk.close()
