# SPDX-License-Identifier: MIT
"""Presentation times in a guest, whose kernel's clocks are its own: between the commit and the event, by the
program's clock."""
import re
import time

import pytest

import rig as lab
import timed

pytestmark = pytest.mark.timeout(240)
PROGRAM = str(lab.CHECKOUT / "tests/vm/clients/presented.py")


def stated_errors(bridge):
    said = [re.search(r"ns ahead, within (\d+) ns", line) for line in list(bridge.guest.errors)]
    return [int(match[1]) for match in said if match]


class Presenter:
    """The program, with a compositor's answers to it."""

    def __init__(self, rig, bridge, compositor):
        self.compositor = compositor
        self.process = rig.start(["python3", PROGRAM], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
        assert int(self.process.expect(r"clock (\d+)")[1]) == compositor.clock

    def frame(self):
        """The host's time of a frame, and what the program was told of it, with its own before and after."""
        self.process.ask("now", "committed")
        host = self.compositor.now()
        self.compositor.send("wp_presentation_feedback", 1, timed.u32(*timed.split(host), 0, 0, 0, 0))
        line = self.process.expect(r"presented (\d+) (\d+) (\d+)")
        return (host, *(int(number) for number in line.groups()))

    def frames(self, count):
        return [self.frame() for _ in range(count)]


def margin(bridge):
    """What the proxy says that it may be wrong by, with the drift of a second: an emulated machine is slow."""
    lab.wait_until(lambda: stated_errors(bridge), "the proxy to state its error")
    return max(stated_errors(bridge)) + 500_000


@pytest.mark.parametrize("clock", [time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW])
def test_presentation(rig, clock):
    compositor = timed.Compositor(rig, clock)
    bridge = rig.bridge(compositor, guest_args=["--log-level", "debug"])
    found = Presenter(rig, bridge, compositor).frames(10)
    within = margin(bridge)
    assert all(before - within <= told <= after + within for _, told, before, after in found), found
    apart = [host - told for host, told, _, _ in found]
    assert abs(apart[0]) > timed.NSEC, "the guest's clock is its own"
    assert max(apart) - min(apart) <= 2 * within
    print("stated errors:", stated_errors(bridge), "ns; offsets from", min(apart), "to", max(apart))
    compositor.close()


def test_pause(rig):
    """The guest's clock stands still with its machine: the first time behind that would be from the future."""
    compositor = timed.Compositor(rig)
    bridge = rig.bridge(compositor, guest_args=["--log-level", "debug"])
    presenter = Presenter(rig, bridge, compositor)
    first = presenter.frame()
    rig.vm.qmp("stop")
    time.sleep(1)  # it is the pause that is looked at
    rig.vm.qmp("cont")
    later = presenter.frame()
    print("before and after:", first, later)
    assert later[2] - first[2] < later[0] - first[0] - timed.NSEC / 2, "the clock went on: this tested nothing"
    within = margin(bridge)
    assert later[2] - within <= later[1] <= later[3] + within, later
    compositor.close()
