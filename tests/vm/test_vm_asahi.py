# SPDX-License-Identifier: MIT
"""Mesa's own native driver in the guest, as Debian ships it: asahi, on the native contexts of an Apple M1 that
draws nothing. What it shows are frames without a picture; that they get there is the point.
"""
import pytest

import pixels
import rig as lab
import test_vm_gpu as gpu_tests
import test_vm_vdrm as vdrm
import vmrig

pytestmark = pytest.mark.timeout(240)

ASAHI = {"MESA_LOADER_DRIVER_OVERRIDE": "asahi"}


# Built where the kernel's headers know asahi, as the double's M1.
PRIME = "tests/vdrm/prime.so"


@pytest.fixture(scope="module")
def asahi_machine():
    if not (lab.build_dir() / PRIME).exists():
        pytest.skip("built with a kernel's headers that don't know asahi (older than 6.16)")
    made = vmrig.Machine(gpu="drm", worker=vdrm.worker_on_double(VDRM_DOUBLE="asahi"), reboots=True)
    yield made
    made.finish()


@pytest.fixture
def rig(asahi_machine):
    made = vmrig.VmRig(asahi_machine)
    yield made
    made.finish()


def test_driver(rig):
    text = gpu_tests.guest_shell(rig, "eglinfo -B -p gbm", **ASAHI)
    assert "Apple M1" in text, text
    lab.wait_until(lambda: not vdrm.workers(rig.machine), "the end of the context's worker")


def test_frames(rig):
    """An OpenGL program's frames reach the compositor as the GPU's own memory."""
    compositor = vdrm.Tiles(rig, "linear")
    bridge = rig.bridge(compositor)
    files = vdrm.open_files(rig, bridge)
    process = pixels.start_client(rig, pixels.Client("weston-simple-egl", ["weston-simple-egl"],
                                                     env=ASAHI), bridge.display)
    compositor.process.expect(r"frame 10 250x250 modifier 0")
    before = gpu_tests.host_stats(rig.machine)
    compositor.process.expect(r"frame 40 250x250 modifier 0")
    after = gpu_tests.host_stats(rig.machine)
    assert after["dmabuf_frames"] > before["dmabuf_frames"] >= 10, (before, after)
    assert after["copied_bytes"] == before["copied_bytes"], (before, after)
    assert len(vdrm.workers(rig.machine)) == 1
    process.stop()
    vdrm.check_end(rig, bridge, files)
