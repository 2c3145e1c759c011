# SPDX-License-Identifier: MIT
import tempfile

import pytest

import rig as lab


def pytest_configure(config):
    config.addinivalue_line("markers", "memory: measures memory, so it needs a build without "
                                       "sanitizers (elsewhere that part is left out)")


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()
