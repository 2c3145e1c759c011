# SPDX-License-Identifier: MIT
"""A program in the guest that lies to the device: nobody else notices.

All the while another program's window shows what it paints, in every pixel; QEMU and the device's
process live on, and the latter's memory and fds come back to what they were.
"""
import pytest

import pixels
import rig as lab
import vmrig

pytestmark = pytest.mark.timeout(300)
SIZE = (640, 480)
SEED = 20
# Freed memory that an allocator (or a sanitizer's quarantine) keeps; KiB.
MOST_GROWTH = 64 << 10
MOST_GROWTH_SANITIZED = 400 << 10


class Neighbour:
    """A program of another proxy's, with a window."""

    def __init__(self, rig):
        self.sway = rig.sway(size=SIZE)
        self.bridge = rig.bridge(self.sway)
        self.rig = rig
        self.client = rig.probe(self.bridge.display, "neighbour", "2060a0", window=True)
        self.turn = 0
        self.check()

    def check(self):
        self.turn += 1
        color = f"{self.turn * 37 % 256:02x}{self.turn * 91 % 256:02x}60"
        self.client.ask(f"color {color}", f"painted {color}")
        self.sway.wait_colors({"neighbour": color})

    def newcomer(self):
        """A program that starts now gets its window too."""
        client = self.rig.probe(self.bridge.display, "newcomer", "c08040", window=True)
        client.ask("color c08040", "painted c08040")
        self.sway.wait_colors({"newcomer": "c08040"})
        client.send("quit")
        assert client.wait() == 0
        lab.wait_until(lambda: set(self.sway.windows()) == {"neighbour"}, "the window to go")


@pytest.fixture
def neighbour(rig):
    """The check that nothing is left over is part of it."""
    made = Neighbour(rig)
    machine = rig.machine
    vm = machine.vm
    vm.run(["dmesg", "-n", "1"], check=True)
    host = machine.host
    fds = vmrig.settle(lambda: lab.counts(host)[0])
    memory = lab.counts(host)[1]
    yield made
    made.check()
    made.newcomer()
    machine.alive()
    lab.wait_until(lambda: lab.counts(host)[0] <= fds,
                   lambda: f"the host's fds to return from {lab.counts(host)[0]} to {fds}")
    most = MOST_GROWTH_SANITIZED if lab.sanitized() else MOST_GROWTH
    assert lab.counts(host)[1] - memory < most, "the device's process has grown"


def hostile(neighbour, *args):
    path = str(lab.build_dir() / "tests/vm/clients/hostile")
    return neighbour.rig.start_in_guest([path, *map(str, args)], {})


def all_through(neighbour, mode, count):
    """Run a mode to its end, with the neighbour painting."""
    program = hostile(neighbour, mode, count, SEED)
    while program.running():
        neighbour.check()
    assert program.wait() == 0, (program.lines, program.errors)
    program.expect(f"done {mode} {count}")


@pytest.mark.parametrize("mode,count", [
    ("ids", 500),
    ("commands", 3000),
    ("sizes", 4),
    ("scribble", 15),
    ("churn", 500),
])
def test_nonsense(neighbour, mode, count):
    """Bad handles and numbers; random commands of the channel; giant ones; mailboxes that change
    under the host's hands; objects freed while in use."""
    all_through(neighbour, mode, count)


def test_window_is_full(neighbour):
    """No place for host memory is left: who has some keeps it, and others do without."""
    program = hostile(neighbour, "blobs", 8192)
    # Of 256 KiB each in 1 GiB.
    made = int(program.expect(r"full (\d+) No space left on device", 120)[1])
    assert 3500 < made <= 4096
    neighbour.check()
    neighbour.newcomer()
    program.ask("on", rf"holes {made // 2}")
    neighbour.check()
    neighbour.newcomer()
    program.kill()


def test_many_contexts(neighbour):
    """More than there may be: those of before go on, and new ones come when they have gone."""
    program = hostile(neighbour, "contexts", 560)
    program.expect("made 560", 120)
    neighbour.check()
    program.ask("on", "done contexts 560")
    assert program.wait() == 0


def test_many_polls(neighbour):
    """Requests that wait keep their places in the virtqueue: one program can't take them all."""
    program = hostile(neighbour, "polls", 400)
    program.expect("asked 400", 60)
    neighbour.check()
    neighbour.newcomer()
    program.ask("on", "done polls 400")
    assert program.wait() == 0


def test_killed_in_the_midst(neighbour):
    """The kernel cleans up after it; the device too."""
    for mode in ("churn", "scribble", "commands", "ids"):
        program = hostile(neighbour, mode, 1 << 30)
        for _ in range(3):
            neighbour.check()
        program.kill()
        neighbour.check()
