# SPDX-License-Identifier: MIT
"""What the programs do when something runs out, dies or stands still."""
import os
import pathlib
import re
import resource
import signal
import socket
import threading
import time

import pytest

import rig as lab
import wire

pytestmark = pytest.mark.timeout(120)
SIZE = (640, 480)
MIB = 1024  # KiB
CLIENT_LIMIT = 512  # BR_LIMIT_CLIENTS


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
        # The host keeps the file of what a window shows: the bystander may have had one more then.
        lab.wait_until(lambda: all(now <= then for now, then in zip(self.fds(), wanted)),
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


# Something dies or stands still

class Load:
    """Programs that keep the bridge busy in both directions, each in a thread of its own."""

    def __init__(self, yard, bridge=None, count=6):
        self.stopping = threading.Event()
        self.rounds = [0] * count
        self.clients = [yard.connect(bridge).start() for _ in range(count)]
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(count)]
        for thread in self.threads:
            thread.start()
        lab.wait_until(lambda: min(self.rounds) > 3, "the load to get going")

    def _run(self, which):
        client = self.clients[which]
        compositor = client.bind("wl_compositor", 4)
        try:
            while not self.stopping.is_set():
                # Enough that some of it is on its way at any time.
                parts = []
                for _ in range(200):
                    surface, callback = client.new(), client.new()
                    parts.append(wire.message(compositor, 0, wire.u32(surface)) +
                                 wire.message(surface, 6) + wire.message(surface, 0) +
                                 wire.message(1, 0, wire.u32(callback)))
                client.send(b"".join(parts))
                # Its id is free again: then all are.
                while (1, 1, wire.u32(callback)) not in client.events:
                    if not client.read(0.1) and self.stopping.is_set():
                        return
                client.events.clear()
                client.done.clear()
                client.next_id = compositor + 1
                self.rounds[which] += 1
        except (wire.Lost, socket.timeout, OSError):
            pass

    def moves(self):
        """Wait until each of them has had an answer to something new."""
        before = list(self.rounds)
        lab.wait_until(lambda: all(now > was + 1 for now, was in zip(self.rounds, before)),
                       lambda: f"the load to go on: {before}, {self.rounds}")

    def ended(self):
        """Wait until all have been disconnected. Returns their errors."""
        for thread in self.threads:
            thread.join(lab.DEADLINE)
            assert not thread.is_alive(), "deadline: waited for a program to be disconnected"
        return [client.error for client in self.clients]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(lab.DEADLINE)
            assert not thread.is_alive(), "deadline: waited for the load to end"
        for client in self.clients:
            client.close()


class Neighbour:
    """Another guest with a host of its own on the same compositor, or on another one."""

    def __init__(self, rig, sway):
        self.sway = sway
        self.bridge = rig.bridge(sway)
        self.window = rig.probe(self.bridge.display, "neighbour", window=True)
        self.color = 0x102030

    def paint(self):
        self.color = (self.color * 7 + 0x010203) & 0xffffff
        text = f"{self.color:06x}"
        self.window.ask(f"color {text}", f"painted {text}")
        self.sway.wait_colors({"neighbour": text})


def stopped(process):
    """Stop a process, and wait until it has."""
    process.popen.send_signal(signal.SIGSTOP)
    lab.wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/stat").read_text()
                   .rsplit(")", 1)[1].split()[0] == "T", f"{process.name} to stop")


def go_on(process):
    process.popen.send_signal(signal.SIGCONT)


def test_host_is_killed(rig):
    """Its programs learn it at once; the proxy, and others' windows, live on."""
    yard = Yard(rig)
    neighbour = Neighbour(rig, yard.sway)
    fds = lab.counts(yard.bridge.guest)[0]
    load = Load(yard)
    yard.bridge.host.popen.send_signal(signal.SIGKILL)
    assert yard.bridge.host.wait() == -signal.SIGKILL
    load.ended()
    yard.bystander.expect("closed .*")
    yard.bridge.guest.expect_error("the connection to the host is lost: .*; the next program makes")
    # Whoever comes meanwhile is told what to do.
    late = yard.connect()
    assert late.end() is not None and "start causeway-host" in late.error[2], late.error
    neighbour.paint()
    load.stop()
    yard.bridge.start_host()
    yard.new_bystander()
    neighbour.paint()
    late.close()
    lab.wait_until(lambda: lab.counts(yard.bridge.guest)[0] == fds,
                   lambda: f"fds of the proxy: {fds}, {lab.counts(yard.bridge.guest)[0]}")
    yard.alive()


def test_host_stands_still(rig):
    """Programs wait, and lose nothing; new ones are told after a time, and served again later."""
    yard = Yard(rig)
    neighbour = Neighbour(rig, yard.sway)
    load = Load(yard)
    stopped(yard.bridge.host)
    yard.bystander.send("color abcdef")
    early = yard.connect()
    assert early.new() == 2
    early.send(wire.message(1, 1, wire.u32(2)))
    used = ticks(yard.bridge.guest)
    neighbour.paint()
    began = time.monotonic()
    # Its channel was asked for, and never opened.
    assert early.end() is not None
    assert "not answered within 10 seconds" in early.error[2], early.error
    assert time.monotonic() - began < 20
    assert ticks(yard.bridge.guest) - used < 2, "the proxy was busy with waiting"
    neighbour.paint()
    yard.alive()
    go_on(yard.bridge.host)
    yard.bystander.expect("painted abcdef")
    yard.paint()
    load.moves()
    load.stop()
    early.close()
    yard.connect().start().sync()
    yard.alive()


def test_host_stands_still_from_the_start(rig):
    """A proxy whose host takes the connection, and nothing more."""
    yard = Yard(rig)
    stopped(yard.bridge.host)
    lone = second_guest(rig, yard.bridge)
    clients = [yard.connect(lone) for _ in range(3)]
    for client in clients:
        assert client.end() is not None
        assert "not answered within 10 seconds" in client.error[2], client.error
        client.close()
    lone.guest.expect_error("the connection to the host is lost: .* not answered within 10 seconds")
    go_on(yard.bridge.host)
    yard.connect(lone).start().sync()
    assert lone.guest.stop() == 0
    yard.paint()
    yard.alive()


def test_compositor_stands_still(rig):
    """What waits for it is bounded, and goes on where it stopped. Another compositor's windows live."""
    yard = Yard(rig)
    other = rig.sway(size=SIZE)
    neighbour = Neighbour(rig, other)
    load = Load(yard)
    stopped(yard.sway.process)
    yard.bystander.send("color fedcba")
    rounds = None
    while rounds != load.rounds:  # until all of them wait
        rounds = list(load.rounds)
        neighbour.paint()
    before = [(ticks(p), lab.counts(p)[1]) for p in yard.bridge.processes()]
    late = Asker(yard)
    for _ in range(10):
        neighbour.paint()
    for process, (used, memory) in zip(yard.bridge.processes(), before):
        assert ticks(process) - used < 1, f"{process.name} was busy with waiting"
        assert lab.counts(process)[1] - memory < 16 * MIB, f"{process.name} grew"
    yard.alive()
    assert late.look() is None
    go_on(yard.sway.process)
    yard.bystander.expect("painted fedcba")
    lab.wait_until(lambda: late.look() == "served", "the program that came meanwhile")
    yard.paint()
    load.moves()
    load.stop()
    yard.alive()


@pytest.mark.plain
@pytest.mark.parametrize("which", ["guest", "host"])
def test_memory_runs_out(rig, which):
    """A pool that can't be mapped costs its own program."""
    limits = {f"{which}_limits": {resource.RLIMIT_AS: 400 << 20}}
    yard = Yard(rig, guest_args=["--shm", "mirror"], **limits)
    start = yard.fds()
    size = 700 << 20
    for _ in range(3):
        client = yard.connect().start()
        shm = client.bind("wl_shm")
        fd = os.memfd_create("pool")
        os.ftruncate(fd, size)
        pool, buffer = client.new(), client.new()
        client.send(wire.message(shm, 0, wire.u32(pool, size)) +
                    wire.message(pool, 0, wire.u32(buffer, 0, 8192, 21000, 32768, 0)), [fd])
        os.close(fd)
        if which == "guest":
            assert client.end() is not None, "the pool was taken"
            assert re.search("memory|map", client.error[2]), client.error
        else:
            client.sync()  # the host maps no pool
        client.close()
        yard.paint()
    yard.wait_fds(start)
    yard.alive()
