# SPDX-License-Identifier: MIT
"""Clients that break rules, stop or die: each ends alone, and nothing of it stays."""
import os
import random
import signal
import socket

import pytest

import rig as lab
import wire

pytestmark = [pytest.mark.timeout(240), pytest.mark.memory]
SIZE = (640, 480)


class Yard:
    """A bridge with a bystander whose window must stay right."""

    def __init__(self, rig, guest_args=()):
        self.rig = rig
        self.sway = rig.sway(size=SIZE)
        self.bridge = rig.bridge(self.sway, guest_args=guest_args)
        self.bystander = rig.probe(self.bridge.display, "bystander", "336699", window=True)
        self.color = 0x336699
        self.settle()
        self.start = self.counts()

    def counts(self):
        return [lab.counts(p) for p in self.bridge.processes()]

    def settle(self):
        """A client that came and went: what is made once is made."""
        for color in ("112233", "336699"):  # the buffers of the start are released and freed
            self.bystander.ask(f"color {color}", f"painted {color}")
            self.bystander.ask("sync", "synced")
            self.bystander.ask("sync", "synced")
        before = [c[0] for c in self.counts()]
        client = self.connect().start()
        client.sync()
        client.close()
        lab.wait_until(lambda: [c[0] for c in self.counts()] == before,
                       lambda: f"one client's fds to go: {before}, {self.counts()}")

    def connect(self, direct=False):
        display = self.sway.display if direct else self.bridge.display
        return wire.Client(str(self.rig.dir / display))

    def check(self, memory_kib=1024):
        """The bystander lives and is painted, and the programs hold no more than at the start."""
        self.color = (self.color * 5 + 0x112233) & 0xffffff
        text = f"{self.color:06x}"
        self.bystander.ask(f"color {text}", f"painted {text}")
        self.sway.wait_colors({"bystander": text})
        for process in self.bridge.processes():
            assert process.running(), process.errors[-20:]
        if self.bridge.kind != "causeway":
            return
        wanted = [c[0] for c in self.start]
        # The host keeps the file of what a window shows: the bystander may have had one more then.
        lab.wait_until(lambda: all(c[0] <= then for c, then in zip(self.counts(), wanted)),
                       lambda: f"fd counts {wanted}, have {[c[0] for c in self.counts()]}")
        if not lab.sanitized():  # a sanitizer keeps freed memory in quarantine
            for process, old, new in zip(self.bridge.processes(), self.start, self.counts()):
                assert new[1] - old[1] < memory_kib, \
                    f"{process.name} grew from {old[1]} to {new[1]} KiB"


@pytest.fixture
def yard(rig):
    return Yard(rig)


# Each sends one thing that is wrong, on a client whose registry is object 2.

def dead_object(client):
    client.send(wire.message(777, 0))


def bad_opcode(client):
    compositor, surface = client.bind("wl_compositor"), client.new()
    client.send(wire.message(compositor, 0, wire.u32(surface)))
    client.send(wire.message(surface, 99))


def display_opcode(client):
    client.send(wire.message(1, 7, wire.u32(9)))


def too_short(client):
    client.send(wire.message(client.bind("wl_compositor"), 0))


def size_below_header(client):
    client.send(wire.message(1, 0, b"", size=4))


def size_not_aligned(client):
    client.send(wire.message(1, 0, wire.u32(client.new()) + b"abc", size=15) + b"\0" * 64)


def wrong_interface(client):
    """wl_surface.attach with a wl_surface for a wl_buffer."""
    compositor = client.bind("wl_compositor")
    one, two = client.new(), client.new()
    client.send(wire.message(compositor, 0, wire.u32(one)))
    client.send(wire.message(compositor, 0, wire.u32(two)))
    client.send(wire.message(one, 1, wire.u32(two, 0, 0)))


def null_argument(client):
    """xdg_wm_base.get_xdg_surface without a surface."""
    client.send(wire.message(client.bind("xdg_wm_base"), 2, wire.u32(client.new(), 0)))


def string_without_nul(client):
    name, version = client.globals["wl_compositor"]
    body = wire.u32(name) + wire.string(b"wl_compositorX") + wire.u32(version, client.new())
    client.send(wire.message(2, 0, body))


def string_too_long(client):
    name, version = client.globals["wl_compositor"]
    body = wire.u32(name, 0xfffffffd) + b"wl_compositor\0\0\0" + wire.u32(version, client.new())
    client.send(wire.message(2, 0, body))


def missing_fd(client):
    client.send(wire.message(client.bind("wl_shm"), 0, wire.u32(client.new(), 4096)))
    client.send(wire.message(1, 0, wire.u32(client.new())))


def used_id(client):
    client.send(wire.message(client.bind("wl_compositor"), 0, wire.u32(2)))


def far_id(client):
    client.send(wire.message(client.bind("wl_compositor"), 0, wire.u32(0x7fffffff)))


def server_id(client):
    client.send(wire.message(client.bind("wl_compositor"), 0, wire.u32(0xff000000)))


def unknown_global(client):
    body = wire.u32(9999) + wire.string("wl_compositor") + wire.u32(1, client.new())
    client.send(wire.message(2, 0, body))


def wrong_global(client):
    name, _ = client.globals["wl_compositor"]
    client.send(wire.message(2, 0, wire.u32(name) + wire.string("wl_shm") +
                             wire.u32(1, client.new())))


def version_too_high(client):
    name, version = client.globals["wl_compositor"]
    client.send(wire.message(2, 0, wire.u32(name) + wire.string("wl_compositor") +
                             wire.u32(version + 100, client.new())))


def newer_request(client):
    """wl_surface.damage_buffer (since 4) on a version 1 surface."""
    compositor, surface = client.bind("wl_compositor", 1), client.new()
    client.send(wire.message(compositor, 0, wire.u32(surface)))
    client.send(wire.message(surface, 9, wire.u32(0, 0, 1, 1)))


def wm_base_gone_first(client):
    """xdg_wm_base.destroy while a surface of it lives: the compositor's own error."""
    compositor, surface = client.bind("wl_compositor"), client.new()
    client.send(wire.message(compositor, 0, wire.u32(surface)))
    wm_base, role = client.bind("xdg_wm_base"), client.new()
    client.send(wire.message(wm_base, 2, wire.u32(role, surface)))
    client.send(wire.message(wm_base, 0))


def buffer_outside_pool(client):
    fd = os.memfd_create("pool")
    os.ftruncate(fd, 4096)
    shm, pool = client.bind("wl_shm"), client.new()
    client.send(wire.message(shm, 0, wire.u32(pool, 4096)), [fd])
    os.close(fd)
    client.send(wire.message(pool, 0, wire.u32(client.new(), 4000, 64, 64, 256, 1)))


def pool_of_a_pipe(client):
    ends = os.pipe()
    client.send(wire.message(client.bind("wl_shm"), 0, wire.u32(client.new(), 4096)), [ends[0]])
    for end in ends:
        os.close(end)


def pool_of_no_bytes(client):
    fd = os.memfd_create("pool")
    client.send(wire.message(client.bind("wl_shm"), 0, wire.u32(client.new(), 0)), [fd])
    os.close(fd)


WRONG = [dead_object, bad_opcode, display_opcode, too_short, size_below_header, size_not_aligned,
         wrong_interface, null_argument, string_without_nul, string_too_long, missing_fd, used_id,
         far_id, server_id, unknown_global, wrong_global, version_too_high, newer_request,
         wm_base_gone_first, buffer_outside_pool, pool_of_a_pipe, pool_of_no_bytes]


def verdict(client, attack):
    """(object, code) of the error that ends it, None if it is closed without one, or "alive"."""
    client.start()
    try:
        attack(client)
        client.sync()
        found = "alive"
    except wire.Lost:
        found = client.end()  # the error may still wait to be read
    client.close()
    return found


def test_wrong_messages(yard):
    """One client for each; the same error on the same object as from the compositor itself."""
    wrong = []
    for attack in WRONG:
        direct = verdict(yard.connect(direct=True), attack)
        bridged = verdict(yard.connect(), attack)
        if attack is size_not_aligned and bridged == (1, 1):
            continue  # libwayland takes it, and reads the next message from the wrong place
        # Where libwayland just hangs up, a reason is welcome; where it gives one, it is due.
        if bridged != direct and not (direct is None and bridged and bridged[0] == 1):
            wrong.append((attack.__name__, f"direct {direct}", f"bridged {bridged}"))
    yard.check()
    assert not wrong, "\n".join(map(str, wrong))


def test_random_bytes(yard):
    rng = random.Random(7)
    for _ in range(40):
        client = yard.connect()
        if rng.random() < 0.5:
            client.start()
        try:
            client.send(rng.randbytes(rng.randrange(8, 70000)))
            client.sock.shutdown(socket.SHUT_WR)
        except (wire.Lost, OSError):
            pass
        client.end()
        client.close()
    yard.check()


def test_flipped_bits(yard):
    """Valid traffic with one bit wrong somewhere: whatever it means, it ends or it goes on."""
    rng = random.Random(11)
    for _ in range(150):
        client = yard.connect().start()
        compositor, shm, base = (client.bind(i) for i in ("wl_compositor", "wl_shm", "xdg_wm_base"))
        surface, pool, buffer, xdg, top = (client.new() for _ in range(5))
        data = bytearray(
            wire.message(compositor, 0, wire.u32(surface)) +
            wire.message(shm, 0, wire.u32(pool, 16384)) +
            wire.message(pool, 0, wire.u32(buffer, 0, 64, 64, 256, 1)) +
            wire.message(base, 2, wire.u32(xdg, surface)) + wire.message(xdg, 1, wire.u32(top)) +
            wire.message(top, 2, wire.string("flipped")) + wire.message(surface, 6) +
            wire.message(surface, 1, wire.u32(0, 0, 0)) +
            wire.message(surface, 2, wire.u32(0, 0, 64, 64)) + wire.message(surface, 6))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        fd = os.memfd_create("pool")
        os.ftruncate(fd, 16384)
        try:
            client.send(bytes(data), [fd])
            client.read(0.05 if rng.random() < 0.2 else 0)
        except (wire.Lost, OSError):
            pass
        os.close(fd)
        client.close()
    yard.check()


def test_too_many_fds(yard):
    """More fds than any message has: the client's loss only."""
    fds = [os.memfd_create("extra") for _ in range(28)]
    for total in (28, 2800):
        client = yard.connect().start()
        try:
            for _ in range(total // 28):
                client.send(wire.message(1, 0, wire.u32(client.new())), fds)
            client.sync()
            alive = True
        except wire.Lost:
            alive = False
        if total == 2800:
            assert not alive, "2800 fds that no message names were taken"
        client.close()
        yard.check()
    for fd in fds:
        os.close(fd)


def test_client_that_stops_reading(yard):
    """It sends round trips and reads no answer: the programs must not keep the answers."""
    for _ in range(3):
        flood(yard)
    before = yard.counts()
    for _ in range(3):
        flood(yard)
    if not lab.sanitized() and yard.bridge.kind == "causeway":
        # The allocator keeps what the first ones needed; it must serve the others too.
        for process, old, new in zip(yard.bridge.processes(), before, yard.counts()):
            assert new[1] - old[1] < 1024, f"{process.name} grew from {old[1]} to {new[1]} KiB"


def flood(yard):
    client = yard.connect().start()
    client.sock.settimeout(1)
    sent = 0
    try:
        while sent < 1 << 19:
            first = client.next_id
            client.next_id += 64
            block = b"".join(wire.message(1, 0, wire.u32(first + i)) for i in range(64))
            client.send(block)
            sent += 64
    except (TimeoutError, wire.Lost):
        pass
    assert sent < 1 << 19, "half a million answers were kept for a client that doesn't read"
    for _ in range(20):
        yard.bystander.ask("sync", "synced", 10)
    for process in yard.bridge.processes():
        assert process.running()
        assert lab.sanitized() or lab.counts(process)[1] < 24 * 1024, process.name
    client.close()
    # The allocator keeps what 65,536 objects have needed.
    yard.check(memory_kib=10 * 1024)


def test_client_that_stops_while_events_flow(yard):
    device = yard.rig.virtual_input(yard.sway.display)
    victim = yard.rig.probe(yard.bridge.display, "victim", window=True)
    victim.ask("sync", "synced")
    # The bystander is out of the pointer's way, also when the victim's window is gone.
    yard.sway.run('[title="bystander"] move to workspace other')
    victim.expect(rf"resized {SIZE[0]} {SIZE[1]}")
    victim.ask("sync", "synced")
    rect = yard.sway.windows()["victim"]
    x, y = rect["x"] + rect["width"] // 2, rect["y"] + rect["height"] // 2
    device.ask(f"move {x} {y} {SIZE[0]} {SIZE[1]}", "ok")
    victim.expect(rf"pointer-(enter|motion) {x - rect['x']} {y - rect['y']}")
    victim.popen.send_signal(signal.SIGSTOP)
    device.ask(f"wiggle 200000 {x} {y} {SIZE[0]} {SIZE[1]}", "ok", 60)
    for _ in range(20):
        yard.bystander.ask("sync", "synced", 10)
    if not lab.sanitized() and yard.bridge.kind == "causeway":
        for process, old in zip(yard.bridge.processes(), yard.start):
            assert lab.counts(process)[1] - old[1] < 16 * 1024, process.name
    # It wakes up to what was kept for it: much, and then the end, if that was too much.
    victim.send("sync")
    victim.popen.send_signal(signal.SIGCONT)
    victim.expect("closed .*|synced", 60)
    moves = sum(line.startswith("pointer-motion") for line in victim.lines)
    assert moves > 1000, f"only {moves} events were on their way to it"
    victim.kill()
    lab.wait_until(lambda: "victim" not in yard.sway.windows(), "the victim's window to go")
    device.popen.stdin.close()
    device.wait()
    yard.sway.run("workspace other")
    yard.check(memory_kib=4 * 1024)


@pytest.mark.parametrize("shm", ["pass", "mirror"])
def test_client_that_shrinks_its_file(rig, shm):
    yard = Yard(rig, guest_args=["--shm", shm])
    victim = rig.probe(yard.bridge.display, "victim", window=True)
    victim.ask("sync", "synced")
    victim.send("shrink")
    if shm == "mirror" and yard.bridge.kind == "causeway":
        # The proxy reads the file, so it is the one to say so: wl_shm.invalid_fd.
        match = victim.expect(r"closed (\w+) \d+ (\d+)")
        assert match.groups() == ("wl_buffer", "2"), match[0]
        assert victim.wait() == 3
    else:
        # The compositor's verdict, whatever it is: the same as without a bridge.
        direct = rig.probe(yard.sway.display, "direct", window=True)
        direct.ask("sync", "synced")
        for client in (direct, victim):
            if client is direct:
                client.send("shrink")
            client.send("sync")
            client.result = client.expect(r"closed (?:.*)|synced")[0]
        assert victim.result.split()[::3] == direct.result.split()[::3]
        direct.kill()
    victim.kill()
    lab.wait_until(lambda: set(yard.sway.windows()) == {"bystander"}, "the other windows to go")
    yard.check()


def test_killed_at_a_random_message(rig):
    """SIGKILL while its commands run, and connections cut within a message."""
    yard = Yard(rig)
    seed = int(os.environ.get("CAUSEWAY_TEST_SEED", "5"))
    rng = random.Random(seed)
    print("seed", seed)
    data = rig.dir / "data"
    data.write_bytes(b"x" * 100000)
    device = rig.virtual_input(yard.sway.display)
    device.ask("keyboard us", "ok")  # for focus, which a clipboard needs
    steps = [("window", "focused"), ("color ff0000", "painted ff0000"),
             (f"offer clipboard text/plain {data}", "selection clipboard text/plain"),
             ("paste clipboard text/plain 30000", "paused .*"),
             (f"offer primary text/plain {data}", "selection primary text/plain"),
             ("resume", "received .*"), ("color 00ff00", "painted 00ff00"), ("unmap", "unfocused"),
             ("sync", "synced"), ("window", "focused"), ("sync", "synced")]
    for _ in range(30):
        victim = rig.probe(yard.bridge.display, "victim")
        stop = rng.randrange(len(steps))
        for command, answer in steps[:stop]:
            victim.ask(command, answer)
        # The next one's messages are on their way, or half of them.
        victim.send(steps[stop][0])
        if rng.random() < 0.5:
            victim.send("sync")
        victim.popen.send_signal(signal.SIGKILL)
        victim.wait()
    for _ in range(100):
        cut_connection(yard, rng)
    lab.wait_until(lambda: set(yard.sway.windows()) == {"bystander"}, "the victims' windows to go")
    yard.check(memory_kib=2048)


def cut_connection(yard, rng):
    client = yard.connect().start()
    compositor, shm, base = (client.bind(i) for i in ("wl_compositor", "wl_shm", "xdg_wm_base"))
    manager, seat = client.bind("wl_data_device_manager", 3), client.bind("wl_seat", 5)
    surface, pool, buffer, xdg, top, device, source = (client.new() for _ in range(7))
    data = b"".join([
        wire.message(compositor, 0, wire.u32(surface)),
        wire.message(shm, 0, wire.u32(pool, 16384)),
        wire.message(pool, 0, wire.u32(buffer, 0, 64, 64, 256, 1)),
        wire.message(base, 2, wire.u32(xdg, surface)),
        wire.message(xdg, 1, wire.u32(top)),
        wire.message(manager, 1, wire.u32(device, seat)),
        wire.message(manager, 0, wire.u32(source)),
        wire.message(source, 0, wire.string("text/plain")),
        wire.message(surface, 6),
        wire.message(1, 0, wire.u32(client.new())),
    ])
    fd = os.memfd_create("pool")
    os.ftruncate(fd, 16384)
    client.send(data[:rng.randrange(1, len(data) + 1)], [fd])
    os.close(fd)
    if rng.random() < 0.5:
        client.read(0)
    client.close()


def test_100_clients(rig):
    """All mapped at once, each with its own color at its own place; then all gone."""
    count = 100
    sway = rig.sway(size=(1600, 200))
    bridge = rig.bridge(sway)
    warm = rig.probe(bridge.display, "warm", window=True)
    warm.ask("sync", "synced")
    warm.send("unmap")
    warm.ask("sync", "synced")
    start = [lab.counts(p) for p in bridge.processes()]
    colors = {f"client{i}": f"{(i * 0x020301 + 0x102030) & 0xffffff:06x}" for i in range(count)}
    clients = [rig.start([lab.program("probe"), name, color],
                         dict(rig.env, WAYLAND_DISPLAY=bridge.display))
               for name, color in colors.items()]
    for client in clients:
        client.send("window")
    for client in clients:
        client.expect(r"mapped \d+ \d+", 60)
    for client in clients:
        client.send("sync")
    for client in clients:
        client.expect("synced", 60)
    assert set(sway.windows()) == set(colors)
    sway.wait_colors(colors)
    # Half of them die, the others stay right.
    for client in clients[::2]:
        client.popen.send_signal(signal.SIGKILL)
    for client in clients[::2]:
        client.wait()
    left = dict(list(colors.items())[1::2])
    lab.wait_until(lambda: set(sway.windows()) == set(left), "half of the windows to go")
    for client in clients[1::2]:
        client.ask("sync", "synced")
    sway.wait_colors(left)
    for client in clients[1::2]:
        client.send("quit")
    for client in clients[1::2]:
        assert client.wait() == 0
    if bridge.kind == "causeway":
        wanted = [c[0] for c in start]
        lab.wait_until(lambda: all(lab.counts(p)[0] <= then
                                   for p, then in zip(bridge.processes(), wanted)),
                       lambda: f"fd counts {wanted}, not {[lab.counts(p) for p in bridge.processes()]}")
        if not lab.sanitized():
            for process, old in zip(bridge.processes(), start):
                assert lab.counts(process)[1] - old[1] < 8 * 1024, process.name
