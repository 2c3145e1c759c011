# SPDX-License-Identifier: MIT
"""Times of the host in the guest's clock. The proxy's clocks are another machine's: a time namespace moves them
by an offset that the test knows, and the bridge has to find out."""
import os
import re
import struct
import subprocess
import tempfile
import time

import pytest

import desktops
import hand
import pixels
import rig as lab
import timed
import wire
from wire import message, u32

SKEW = 86_400 * 7 + 12_345  # seconds that the guest is ahead
LIMIT = 1_000_000  # ns
SKEWED = ["unshare", "--time", "--monotonic", str(SKEW), "--boottime", str(SKEW)]
pytestmark = pytest.mark.timeout(90)


def can_skew():
    done = subprocess.run([*SKEWED, "cat", "/proc/self/timens_offsets"], text=True,
                          capture_output=True, check=False)
    return done.returncode == 0 and str(SKEW) in done.stdout


@pytest.fixture(scope="module", autouse=True)
def need_skew():
    if lab.BRIDGE != "causeway":
        pytest.skip("is about the bridge's clocks")
    if not can_skew():
        pytest.skip("needs time namespaces: Linux 6.1 with CONFIG_TIME_NS, and root")


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


class Program(wire.Client):
    """A client with a surface and what tells times."""

    def __init__(self, rig, bridge):
        super().__init__(str(rig.dir / bridge.display))
        self.start()
        self.bridge = bridge
        self.compositor = self.bind("wl_compositor")
        self.surface = self.create(self.compositor, 0)

    def create(self, factory, opcode, *args, at=0):
        """An object by a request, whose new id is argument number at."""
        made = self.new()
        args = [*args[:at], made, *args[at:]]
        self.send(message(factory, opcode, u32(*args)))
        return made

    def commit(self):
        self.send(message(self.surface, 6))

    def wait_event(self, obj, opcode):
        """Words of the newest event of a kind."""
        end = time.monotonic() + self.deadline
        while True:
            for found, code, body in reversed(self.events):
                if (found, code) == (obj, opcode):
                    return struct.unpack(f"={len(body) // 4}I", body)
            assert self.read(max(0, end - time.monotonic())), f"deadline: waited for {obj}.{opcode}"


def stated_error(bridge, clock):
    """What the proxy says that it is at most wrong by, in ns; None before it knows."""
    said = [re.search(rf"host's clock {clock} is (-?\d+) ns ahead, within (\d+) ns", line)
            for line in list(bridge.guest.errors)]
    found = [match for match in said if match]
    return int(found[-1][2]) if found else None


def check(bridge, clock, wrong, where):
    """An error (ns): smaller than what the proxy states, with the drift of a second, and than LIMIT."""
    # It said so before, but on another way.
    lab.wait_until(lambda: stated_error(bridge, clock) is not None, "the proxy to state its error")
    stated = stated_error(bridge, clock)
    assert abs(wrong) <= stated + 500_000, (where, wrong, stated)
    return stated < LIMIT / 2 and (abs(wrong) < LIMIT)


def until_exact(once, what):
    """Again while the machine is too busy for an exchange that tells: each asks for a new one."""
    lab.wait_until(once, f"{what} within {LIMIT} ns")


def bridge_to(rig, compositor, skewed=True, guest_args=(), **kwargs):
    return rig.bridge(compositor, guest_prefix=SKEWED if skewed else [],
                      guest_args=["--log-level", "debug", *guest_args], **kwargs)


@pytest.fixture
def timed_pair(rig):
    """A compositor that is the test's own, and a skewed bridge to it."""
    compositor = timed.Compositor(rig)
    yield compositor, bridge_to(rig, compositor)
    compositor.close()


def present(compositor, program, presentation, host_ns):
    """The time that the program is told of a frame that was shown then."""
    feedback = program.create(presentation, 1, program.surface, at=1)
    program.commit()
    program.sync()
    compositor.send("wp_presentation_feedback", 1,
                    u32(*timed.split(host_ns), 16_666_667, 0, 1, 3))
    return program.wait_event(feedback, 1)


@pytest.mark.parametrize("clock", [time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW,
                                   time.CLOCK_BOOTTIME])
def test_presentation(rig, clock):
    compositor = timed.Compositor(rig, clock)
    bridge = bridge_to(rig, compositor)
    program = Program(rig, bridge)
    presentation = program.bind("wp_presentation")
    assert program.wait_event(presentation, 0) == (clock,)

    def once():
        host = compositor.now()
        words = present(compositor, program, presentation, host)
        assert words[3:] == (16_666_667, 0, 1, 3)
        return check(bridge, clock, timed.joined(words) - SKEW * timed.NSEC - host, "presented")
    until_exact(once, "a presentation time")
    program.close()
    compositor.close()


def test_commit_times(rig, timed_pair):
    compositor, bridge = timed_pair
    program = Program(rig, bridge)
    timer = program.create(program.bind("wp_commit_timing_manager_v1"), 1, program.surface)

    def once():
        before = compositor.count("wp_commit_timer_v1", 0)
        wanted = compositor.now() + 20_000_000
        program.send(message(timer, 0, u32(*timed.split(wanted + SKEW * timed.NSEC))))
        program.commit()
        told = timed.joined(compositor.wait_said("wp_commit_timer_v1", 0, before + 1))
        return check(bridge, time.CLOCK_MONOTONIC, told - wanted, "set_timestamp")
    until_exact(once, "a commit time")
    # What can't be is the compositor's to refuse.
    program.send(message(timer, 0, u32(5, 6, 1_000_000_000)))
    program.sync()
    assert compositor.wait_said("wp_commit_timer_v1", 0, 2) == (5, 6, 1_000_000_000)
    program.close()


def test_input_times(rig, timed_pair):
    compositor, bridge = timed_pair
    program = Program(rig, bridge)
    keyboard = program.create(program.bind("wl_seat"), 1)
    stamps = program.create(program.bind("zwp_input_timestamps_manager_v1"), 1, keyboard)
    compositor.wait_said("zwp_input_timestamps_manager_v1", 1)

    def once():
        host = compositor.now()
        program.events.clear()
        compositor.send("zwp_input_timestamps_v1", 0, u32(*timed.split(host)))
        compositor.send("wl_keyboard", 3, u32(1, host // 1_000_000 & 0xffffffff, 30, 1))
        key = program.wait_event(keyboard, 3)
        stamp = timed.joined(program.wait_event(stamps, 0))
        guest_ms = (host // 1_000_000 + SKEW * 1000) & 0xffffffff
        assert abs(key[1] - guest_ms) <= 2, "the offset is told in whole ms"
        assert (key[0], key[2], key[3]) == (1, 30, 1)
        return check(bridge, time.CLOCK_MONOTONIC, stamp - SKEW * timed.NSEC - host, "timestamp")
    until_exact(once, "an input timestamp")
    program.close()


def test_frame_callbacks(rig, timed_pair):
    """In ms, as input; a wl_display.sync's serial is none."""
    compositor, bridge = timed_pair
    program = Program(rig, bridge)
    frame = program.create(program.surface, 3)
    program.commit()
    program.sync()
    host = compositor.now() // 1_000_000
    compositor.send("wl_callback", 0, u32(host & 0xffffffff))
    (told,) = program.wait_event(frame, 0)
    assert abs(told - ((host + SKEW * 1000) & 0xffffffff)) <= 2
    synced = program.create(1, 0)
    assert program.wait_event(synced, 0) == (0,)
    program.close()


def test_hostile_times(rig, timed_pair):
    """At the limits of 64 bits, and beyond what nanoseconds can be: the times are wrong, and all goes on."""
    compositor, bridge = timed_pair
    program = Program(rig, bridge)
    presentation = program.bind("wp_presentation")
    for words in [(0xffffffff, 0xffffffff, 999_999_999), (0, 0, 0), (0x80000000, 0, 0),
                  (0, 1, 0xffffffff), (2, 0x44b82fa0, 0), (0x7fffffff, 0xffffffff, 999_999_999)]:
        feedback = program.create(presentation, 1, program.surface, at=1)
        program.commit()
        program.sync()
        compositor.send("wp_presentation_feedback", 1, u32(*words, 0, 0, 0, 0))
        told = program.wait_event(feedback, 1)
        assert told[2] < timed.NSEC or told[2] == words[2]
    program.sync()
    assert program.error is None
    program.close()


def test_barriers_pass_as_they_are(rig, timed_pair):
    """wp_fifo_v1 and wp_tearing_control_v1: in their places between commits."""
    compositor, bridge = timed_pair
    program = Program(rig, bridge)
    fifo = program.create(program.bind("wp_fifo_manager_v1"), 1, program.surface)
    tearing = program.create(program.bind("wp_tearing_control_manager_v1"), 1, program.surface)
    for _ in range(3):
        program.send(message(fifo, 1) + message(fifo, 0) + message(tearing, 0, u32(1)))
        program.commit()
    program.send(message(fifo, 2))
    program.commit()
    program.sync()
    said = [(i, o, w) for i, o, w in compositor.said
            if i in ("wp_fifo_v1", "wp_tearing_control_v1") or (i, o) == ("wl_surface", 6)]
    assert said == [("wp_fifo_v1", 1, ()), ("wp_fifo_v1", 0, ()), ("wp_tearing_control_v1", 0, (1,)),
                    ("wl_surface", 6, ())] * 3 + [("wp_fifo_v1", 2, ()), ("wl_surface", 6, ())]
    program.close()


def test_estimates(rig):
    """A host that does not tell: a time is that of its arrival, at most; a commit's is left out till then."""
    compositor = timed.Compositor(rig)
    bridge = bridge_to(rig, compositor, guest_args=["--extensions", "none"])
    program = Program(rig, bridge)
    timer = program.create(program.bind("wp_commit_timing_manager_v1"), 1, program.surface)
    presentation = program.bind("wp_presentation")
    host = compositor.now()
    program.send(message(timer, 0, u32(*timed.split(host + SKEW * timed.NSEC))))
    program.commit()
    words = present(compositor, program, presentation, host)
    assert host <= timed.joined(words) - SKEW * timed.NSEC <= compositor.now()
    assert all(i != "wp_commit_timer_v1" for i, _, _ in compositor.said)
    program.send(message(timer, 0, u32(*timed.split(host + SKEW * timed.NSEC))))
    told = timed.joined(compositor.wait_said("wp_commit_timer_v1", 0))
    assert host - (compositor.now() - host) <= told <= host
    program.close()
    compositor.close()


def test_one_machine(rig):
    """The same clock on both sides: every time is the same, to the nanosecond."""
    compositor = timed.Compositor(rig)
    bridge = bridge_to(rig, compositor, skewed=False)
    program = Program(rig, bridge)
    presentation = program.bind("wp_presentation")
    for _ in range(3):
        host = compositor.now()
        assert timed.joined(present(compositor, program, presentation, host)) == host
    program.close()
    compositor.close()


def window(program):
    """Map the surface of a program on a compositor with a shell; returns a buffer for it."""
    shm, shell = program.bind("wl_shm"), program.bind("xdg_wm_base")
    xdg_surface = program.create(shell, 2, program.surface)
    program.create(xdg_surface, 1)
    program.commit()
    serial = program.wait_event(xdg_surface, 0)[0]
    program.send(message(xdg_surface, 4, u32(serial)))
    fd = os.memfd_create("pool")
    os.ftruncate(fd, 64 * 64 * 4)
    pool = program.new()
    program.send(message(shm, 0, u32(pool, 64 * 64 * 4)), [fd])
    os.close(fd)
    return program.create(pool, 0, 0, 64, 64, 256, 1)


def traced(bridge, event, number):
    """The time in the number-th event of a kind that the host traced; None before it did."""
    found = [re.search(rf"\.{event}\((\d+), (\d+), (\d+)", line) for line in list(bridge.host.errors)]
    found = [match for match in found if match]
    return timed.joined([int(word) for word in found[number - 1].groups()]) if len(found) >= number else None


@pytest.mark.parametrize("name", ["weston", "sway", "labwc", "kwin"])
def test_compositors(rig, name):
    """weston's presentation clock is CLOCK_MONOTONIC_RAW, the others' CLOCK_MONOTONIC."""
    compositor = {"weston": pixels.Weston, "sway": lab.Sway, "labwc": desktops.Labwc,
                  "kwin": desktops.Kwin}[name](rig)
    bridge = bridge_to(rig, compositor, host_args=["--trace=iface=wp_presentation_feedback"])
    program = Program(rig, bridge)
    presentation = program.bind("wp_presentation")
    clock = program.wait_event(presentation, 0)[0]
    buffer = window(program)

    shown = []

    def once():
        feedback = program.create(presentation, 1, program.surface, at=1)
        program.send(message(program.surface, 1, u32(buffer, 0, 0)))
        program.send(message(program.surface, 2, u32(0, 0, 64, 64)))
        program.commit()
        told = timed.joined(program.wait_event(feedback, 1))
        shown.append(feedback)
        host = lab.wait_until(lambda: traced(bridge, "presented", len(shown)), "the trace of the event")
        return check(bridge, clock, told - SKEW * timed.NSEC - host, f"{name}'s presented")
    until_exact(once, "a presentation time")
    program.close()


def test_input_timestamps_of_weston(rig):
    """In a window of sway, which moves its pointer."""
    sway = lab.Sway(rig)
    compositor = desktops.NestedWeston(rig, sway, shell="kiosk")
    bridge = bridge_to(rig, compositor, host_args=["--trace=iface=zwp_input_timestamps_v1"])
    pointing = hand.Hand(rig, sway)
    program = Program(rig, bridge)
    pointer = program.create(program.bind("wl_seat", 5), 0)
    stamps = program.create(program.bind("zwp_input_timestamps_manager_v1"), 2, pointer)
    buffer = window(program)
    program.send(message(program.surface, 1, u32(buffer, 0, 0)))
    program.commit()
    middle = [side // 2 for side in sway.size]

    def enters():
        pointing.move(middle[0] - 200, middle[1])
        pointing.move(*middle)
        program.sync()
        return any(event[:2] == (pointer, 0) for event in program.events)
    lab.wait_until(enters, "the pointer to be in the window")

    def stamped():
        return [event for event in program.events if event[:2] == (stamps, 0)]

    def once():
        before = len(stamped())
        # Two, as one may be where the pointer is already.
        pointing.move(middle[0] + 3, middle[1])
        pointing.move(*middle)
        lab.wait_until(lambda: program.sync() or len(stamped()) > before, "a timestamp")
        host = lab.wait_until(lambda: traced(bridge, "timestamp", before + 1), "the trace of the event")
        told = timed.joined(struct.unpack("=3I", stamped()[before][2]))
        return check(bridge, time.CLOCK_MONOTONIC, told - SKEW * timed.NSEC - host, "timestamp")
    until_exact(once, "an input timestamp")
    program.close()
