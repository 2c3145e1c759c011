# SPDX-License-Identifier: MIT
"""Native contexts of virglrenderer itself, of an Apple M1 that is a fake of Mesa's (drm-shim: it takes commands
and draws nothing), under Debian's Mesa in the guest. Needs a virglrenderer that has them, which Debian's has
not: $CAUSEWAY_VIRGLRENDERER names the folder that one is installed in.
"""
import ctypes
import os
import pathlib
import subprocess

import pytest

import rig as lab
import vmrig
# The same tests as with the test double.
from test_vm_asahi import PRIME, test_driver, test_frames  # noqa: F401

pytestmark = pytest.mark.timeout(240)

CAPSET_DRM = 6
SHIM = pathlib.Path("/usr/lib/x86_64-linux-gnu/libasahi_noop_drm_shim.so")
HOW = "tests/vdrm/build-virglrenderer.sh builds one"


def preload():
    """The fake GPU."""
    prime = lab.build_dir() / PRIME
    if not SHIM.exists():
        pytest.skip("no drm-shim: install the package mesa-drm-shim")
    if not prime.exists():
        pytest.skip("built with a kernel's headers that don't know asahi (older than 6.16)")
    return f"{prime}:{SHIM}"


def library_folder():
    """Where the virglrenderer with native contexts is."""
    prefix = os.environ.get("CAUSEWAY_VIRGLRENDERER")
    if not prefix:
        pytest.skip("CAUSEWAY_VIRGLRENDERER names no virglrenderer (1.2 or newer) with native contexts; "
                    + HOW)
    found = [path.parent for path in pathlib.Path(prefix).glob("lib*/**/libvirglrenderer.so.1")]
    assert found, f"CAUSEWAY_VIRGLRENDERER: there is no libvirglrenderer.so.1 in {prefix}/lib; {HOW}"
    return found[0]


def check_library(folder):
    version, size = ctypes.c_uint32(), ctypes.c_uint32()
    library = ctypes.CDLL(str(folder / "libvirglrenderer.so.1"))
    library.virgl_renderer_get_cap_set(CAPSET_DRM, ctypes.byref(version), ctypes.byref(size))
    assert size.value > 0, f"{folder}/libvirglrenderer.so.1 was built without native contexts; {HOW}"


def with_dri(folder, program):
    """Path of a program that runs another where there is a folder /dev/dri, which drm-shim wants to see."""
    mounts = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if mounts.returncode and not os.path.isdir("/dev/dri"):
        pytest.skip("there is no /dev/dri, and no right to make one (unshare --mount)")
    path = folder / "with-dri"
    path.write_text(f"""#!/bin/sh
[ -d /dev/dri ] && exec env {program} "$@"
exec unshare --mount --propagation private sh -ec '
new=$(mktemp -d)
mount -t tmpfs dev $new
mkdir $new/dri $new/shm
mount --rbind /dev/shm $new/shm
for node in null zero full random urandom; do
    touch $new/$node
    mount --bind /dev/$node $new/$node
done
mount --move $new /dev
exec env {program} "$@"' sh "$@"
""")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def vdrm_machine():
    folder = library_folder()
    check_library(folder)
    shim = preload()

    def make_worker(where):
        return with_dri(where, lab.gpu_worker(where, LD_LIBRARY_PATH=str(folder), LD_PRELOAD=shim))
    made = vmrig.Machine(gpu="drm", worker=make_worker, reboots=True)
    yield made
    made.finish()


@pytest.fixture
def rig(vdrm_machine):
    made = vmrig.VmRig(vdrm_machine)
    yield made
    made.finish()


def test_fake_gpu(tmp_path):
    """The fake has what virglrenderer wants of it."""
    program = with_dri(tmp_path, f"LD_PRELOAD={preload()} {lab.build_dir()}/tests/vdrm/shim-check")
    done = subprocess.run([program], text=True, capture_output=True, timeout=lab.DEADLINE, check=False)
    assert (done.returncode, done.stdout) == (0, "asahi\n"), done
