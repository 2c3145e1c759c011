# SPDX-License-Identifier: MIT
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

import rig as lab  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "plain: needs a build without sanitizers")


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cwf-"))
    # Freed memory is kept back by the sanitizer: so little that growth can be seen.
    options = [made.env[k] for k in ("ASAN_OPTIONS",) if made.env.get(k)]
    made.env["ASAN_OPTIONS"] = ":".join(options + ["quarantine_size_mb=4"])
    yield made
    made.finish()
