# SPDX-License-Identifier: MIT
"""Some of the integration tests' matrix of programs, in a virtual machine: what is done to a program there is
done to the same one beside a compositor, and the pictures become the same."""
import tempfile

import pytest

import rig as lab
import stage
import test_matrix

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def pair(rig):
    beside = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    made = []
    try:
        made += [stage.Desk(beside, False), stage.Desk(rig, True)]
        yield made
        test_matrix.finish(made)
        rig.machine.alive()
    finally:
        beside.finish()


@pytest.mark.parametrize("use", [test_matrix.test_foot, test_matrix.test_gtk4_demo,
                                 test_matrix.test_featherpad])
def test_program(pair, use):
    use(pair)
    assert pair[1].process.popen.vm is pair[1].rig.vm, "it did not run in the guest"
