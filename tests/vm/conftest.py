# SPDX-License-Identifier: MIT
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

import boot  # noqa: E402
import rig as lab  # noqa: E402
import vmrig  # noqa: E402

# Translated by QEMU, a guest's programs take their time.
lab.DEADLINE = max(lab.DEADLINE, 60)


def pytest_collection_modifyitems(items):
    """Without QEMU or a kernel nothing here can run; that is no failure of the programs'."""
    try:
        boot.requirements()
    except boot.Missing as error:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no virtual machine: {error}"))


@pytest.fixture(scope="session")
def shared_machine():
    """One machine for all tests that leave it as it was."""
    made = vmrig.Machine()
    yield made
    made.finish()


@pytest.fixture
def machine(request):
    """The shared machine; a new one, if a test before this has ruined it."""
    return request.getfixturevalue("shared_machine")


@pytest.fixture
def rig(machine):
    made = vmrig.VmRig(machine)
    yield made
    made.finish()
