# SPDX-License-Identifier: MIT
"""What the programs do when something runs out, dies or stands still."""
import os
import random
import re
import resource
import signal
import threading
import time

import pytest

import rig as lab
import wire

pytestmark = pytest.mark.timeout(120)
SIZE = (640, 480)
MIB = 1024  # KiB
CLIENT_LIMIT = 512  # BR_LIMIT_CLIENTS
SEED = int(os.environ.get("CAUSEWAY_TEST_SEED", "3"))


class Yard:
    """A bridge with a bystander whose window must stay right."""

    def __init__(self, rig, **kwargs):
        self.rig = rig
        self.sway = rig.sway(size=SIZE)
        self.bridge = rig.bridge(self.sway, **kwargs)
        self.color = 0x336699
        self.bystander = None
        self.new_bystander()

    def new_bystander(self):
        self.bystander = self.rig.probe(self.bridge.display, "bystander", window=True)
        for _ in range(3):  # the buffers of the start are released and freed
            self.paint()

    def paint(self):
        """A round trip and right pixels."""
        self.color = (self.color * 5 + 0x112233) & 0xffffff
        text = f"{self.color:06x}"
        self.bystander.ask(f"color {text}", f"painted {text}")
        self.bystander.ask("sync", "synced")
        self.sway.wait_colors({"bystander": text})

    def connect(self, bridge=None, deadline=30):
        return wire.Client(str(self.rig.dir / (bridge or self.bridge).display), deadline)

    def fds(self):
        return [lab.counts(p)[0] for p in self.bridge.processes()]

    def wait_fds(self, wanted):
        lab.wait_until(lambda: self.fds() == wanted,
                       lambda: f"fd counts {wanted}, have {self.fds()}")

    def alive(self):
        for process in self.bridge.processes():
            assert process.running(), (process.argv, process.errors[-20:])


def ticks(process):
    """CPU time that a process has used, in seconds."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Something runs out

class Asker:
    """A client that has asked for the globals: "served", "refused", or None while it waits."""

    def __init__(self, yard, bridge=None):
        self.client = yard.connect(bridge)
        self.state = None
        self.callback = None
        try:
            assert self.client.new() == 2
            self.callback = self.client.new()
            self.client.send(wire.message(1, 1, wire.u32(2)) +
                             wire.message(1, 0, wire.u32(self.callback)))
        except wire.Lost:
            pass  # the reason may wait to be read

    def look(self):
        try:
            while self.state is None and self.client.read(0):
                if self.callback in self.client.done:
                    self.state = "served"
        except wire.Lost:
            self.state = "refused"
        return self.state

    def reason(self):
        return self.client.error[2] if self.client.error else None


def look_at_all(askers, what, seconds):
    """States of all when this time has passed, and what CPU a process needed meanwhile.

    The programs have to be left alone for a time to see that they don't spin.
    """
    before = ticks(what)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for asker in askers:
            asker.look()
        time.sleep(0.05)
    return {s: [a for a in askers if a.state == s] for s in ("served", "refused", None)}, \
        ticks(what) - before


@pytest.mark.parametrize("which", ["guest", "host"])
def test_open_files_run_out(rig, which):
    limits = {f"{which}_limits": {resource.RLIMIT_NOFILE: 64}}
    yard = Yard(rig, **limits)
    exhausted = getattr(yard.bridge, which)
    start = yard.fds()
    askers = [Asker(yard) for _ in range(80)]
    found, _ = look_at_all(askers, exhausted, 1)
    found, used = look_at_all(askers, exhausted, 2)
    counts = {state: len(some) for state, some in found.items()}
    print(counts, "CPU seconds", used, "fds", yard.fds())
    assert counts["served"] >= 3 and counts["served"] < 80, counts
    assert used < 0.3, f"{exhausted.name} used {used} s of CPU in 2 s"
    for asker in found["refused"]:
        # Their own files may be what runs out, before the host can say what it is.
        assert asker.reason() and re.search("open files|did not take", asker.reason()), \
            asker.reason()
    if found["refused"]:
        assert any("open files" in a.reason() for a in found["refused"])
    for asker in found["served"]:
        asker.client.sync()
    yard.paint()
    # As they leave, the others get their turn.
    while found["served"]:
        for asker in found["served"] + found["refused"]:
            asker.client.close()
            askers.remove(asker)
        lab.wait_until(lambda: not askers or any(a.look() for a in askers), "the next ones' turn")
        found = {s: [a for a in askers if a.state == s] for s in ("served", "refused")}
    assert not askers, f"{len(askers)} clients got no answer"
    yard.wait_fds(start)
    for _ in range(3):
        client = yard.connect().start()
        client.sync()
        client.close()
    yard.paint()
    yard.wait_fds(start)
    yard.alive()


def served(askers):
    lab.wait_until(lambda: all([a.look() for a in askers]), "an answer to every client")
    return [a for a in askers if a.state == "served"]


@pytest.mark.parametrize("guests", [1, 2])
def test_too_many_clients(rig, guests):
    """One guest's limit, and the host's for all its guests."""
    yard = Yard(rig)
    start = yard.fds()
    bridges = [yard.bridge]
    if guests == 2:
        bridges.append(second_guest(rig, yard.bridge))
    total = CLIENT_LIMIT - 1  # the bystander
    askers = []
    for i in range(total + 40):
        askers.append(Asker(yard, bridges[i % guests]))
        if i % 20 == 0:
            served(askers)
    assert len(served(askers)) == total
    for asker in askers:
        if asker.state == "refused":
            assert asker.reason() and "too many" in asker.reason(), asker.reason()
    for asker in askers[:total:50]:
        asker.client.sync()
    yard.paint()
    # Each that leaves makes room for one.
    for asker in askers[:5]:
        asker.client.close()
    lab.wait_until(lambda: served([Asker(yard, bridges[0])]), "a client to be served")
    for asker in askers:
        asker.client.close()
    if guests == 2:
        assert bridges[1].guest.stop() == 0
    yard.paint()
    yard.wait_fds(start)
    yard.alive()


def second_guest(rig, bridge):
    """Another proxy at the same host."""
    other = lab.Bridge.__new__(lab.Bridge)
    other.__dict__.update(bridge.__dict__, display=f"guest-{rig.number()}")
    other.start_guest()
    return other
