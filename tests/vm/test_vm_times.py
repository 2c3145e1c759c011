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


def told_times(rig, bridge, compositor, rounds=10):
    """Of each frame: the host's time, and what the program was told of it, with its own before and after."""
    program = rig.start(["python3", PROGRAM], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
    assert int(program.expect(r"clock (\d+)")[1]) == compositor.clock
    found = []
    for _ in range(rounds):
        program.ask("now", "committed")
        host = compositor.now()
        compositor.send("wp_presentation_feedback", 1, timed.u32(*timed.split(host), 0, 0, 0, 0))
        line = program.expect(r"presented (\d+) (\d+) (\d+)")
        found.append((host, *(int(number) for number in line.groups())))
    program.stop()
    return found


@pytest.mark.parametrize("clock", [time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW])
def test_presentation(rig, clock):
    compositor = timed.Compositor(rig, clock)
    bridge = rig.bridge(compositor, guest_args=["--log-level", "debug"])
    found = told_times(rig, bridge, compositor)
    # An emulated machine is slow: how exact this can be is the proxy's to say, with the drift of a second.
    lab.wait_until(lambda: stated_errors(bridge), "the proxy to state its error")
    margin = max(stated_errors(bridge)) + 500_000
    assert all(before - margin <= told <= after + margin for _, told, before, after in found), found
    apart = [host - told for host, told, _, _ in found]
    assert abs(apart[0]) > timed.NSEC, "the guest's clock is its own"
    assert max(apart) - min(apart) <= 2 * margin
    print("stated errors:", stated_errors(bridge), "ns; offsets from", min(apart), "to", max(apart))
    compositor.close()
