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


def pytest_configure(config):
    config.addinivalue_line("markers", "memory: of the integration tests that are borrowed here")


def pytest_collection_modifyitems(items):
    """Without QEMU or a kernel nothing here can run; that is no failure of the programs'."""
    try:
        boot.requirements()
    except boot.Missing as error:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no virtual machine: {error}"))


class Machines:
    """The machine that tests share; another one after a test that it did not survive."""

    def __init__(self):
        self.made = None

    def get(self):
        if self.made and not self.made.healthy():
            self.finish()
        if not self.made:
            self.made = vmrig.Machine(reboots=True)
        return self.made

    def finish(self):
        old, self.made = self.made, None
        if old:
            old.finish()


@pytest.fixture(scope="session")
def machines():
    made = Machines()
    yield made
    made.finish()


@pytest.fixture
def machine(machines):
    return machines.get()


@pytest.fixture
def rig(machine):
    made = vmrig.VmRig(machine)
    yield made
    made.finish()


@pytest.fixture
def new_machine():
    """A function that makes a machine of the test's own, by Machine's arguments."""
    made = []

    def make(*args, **kwargs):
        made.append(vmrig.Machine(*args, reboots=True, **kwargs))
        return made[-1]
    yield make
    for machine in made:
        machine.finish()
