# SPDX-License-Identifier: MIT
"""Integration tests that need the kernel's dma-bufs, in a virtual machine whose kernel has them: both
programs, the compositor and the GPU's driver are in it, and nothing stands in for udmabuf."""
import re

import pytest

import guest
import rig as lab

TESTS = {
    "dmabuf": "test_dmabuf.py -k test_memory_of_udmabuf",
    "vtest": "test_vtest.py -k 'test_pictures and not egl'",
}
# Translated code takes its time.
DEADLINE = 400
pytestmark = pytest.mark.timeout(DEADLINE + 100)


@pytest.fixture(scope="module")
def vm():
    made = guest.Guest()
    made.run(["modprobe", "udmabuf"])  # where it is a module
    made.shell("test -c /dev/udmabuf")
    yield made
    made.finish()


def test_image_for_a_copy(vm):
    """The worker's unit test once more, where gbm has a device to allocate images on: the kernel's vgem,
    whose render node would do but for the dumb buffers that Mesa's software driver wants."""
    vm.run(["modprobe", "vgem"])
    vm.shell("test -c /dev/dri/card0")
    build = lab.build_dir()
    done = vm.run([str(build / "tests/unit/unit-gpu_dmabuf"), "image_for_a_copy"],
                  dict(guest.ENV, GPU_RIG_RENDER_NODE="/dev/dri/card0", LIBGL_ALWAYS_SOFTWARE="1",
                       CAUSEWAY_GPU_WORKER=str(build / "host-renderer/worker/causeway-gpu-worker"),
                       VK_DRIVER_FILES="/usr/share/vulkan/icd.d/lvp_icd.json"),
                  cwd=lab.CHECKOUT, deadline=DEADLINE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "ok 1" in done.stdout, done.stdout


@pytest.mark.parametrize("name", list(TESTS))
def test_real_dmabufs(vm, name):
    env = dict(guest.ENV, CAUSEWAY_TEST_REAL_DMABUFS="1", CAUSEWAY_BUILD=str(lab.build_dir()),
               CAUSEWAY_TEST_DEADLINE="120")
    done = vm.run(["sh", "-c", "cd tests/integration && exec python3 -m pytest -q -p no:cacheprovider "
                   f"-p no:timeout {TESTS[name]}"], env, cwd=lab.CHECKOUT, deadline=DEADLINE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"\d passed", done.stdout), done.stdout
