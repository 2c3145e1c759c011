# SPDX-License-Identifier: MIT
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "vm")]

import boot  # noqa: E402
import rig as lab  # noqa: E402

# Translated by QEMU, a guest's programs take their time.
lab.DEADLINE = max(lab.DEADLINE, 60)


def pytest_configure(config):
    config.addinivalue_line("markers", "memory: of the integration tests that are borrowed here")


def pytest_collection_modifyitems(items):
    try:
        boot.requirements()
    except boot.Missing as error:
        for item in items:
            if "rig" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=f"no virtual machine: {error}"))
