# SPDX-License-Identifier: MIT
"""Native contexts of the GPU (vDRM): what causeway-host says of them, with Debian's libvirglrenderer, which has
none, and with the test double's (tests/vm/vdrm), which has nothing else."""
import re
import subprocess

import pytest

import rig as lab

pytestmark = pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about causeway's own programs")


def host(rig, double, *args, deadline=60):
    """causeway-host from start to end, on the double if that names a GPU of its."""
    more = {}
    if double:
        folder = lab.build_dir() / "tests/vm/vdrm"
        if not (folder / "libvirglrenderer.so.1").exists():
            pytest.skip("built without libvirglrenderer")
        more = {"LD_LIBRARY_PATH": str(folder), "VDRM_DOUBLE": double}
    env = dict(rig.env, CAUSEWAY_GPU_WORKER=lab.gpu_worker(rig.dir, **more))
    return subprocess.run([lab.program("causeway-host"), "--vhost-user", str(rig.dir / "vm.sock"), *args],
                          env=env, text=True, capture_output=True, timeout=deadline, check=False)


def row(done, kind):
    """What --check says of a kind of GPU work."""
    return re.search(rf"^(\w+) +{kind}: (.*)$", done.stdout, re.M).groups()


def test_library_without(rig):
    if row(host(rig, None, "--check"), "vDRM")[0] == "ok":
        pytest.skip("this libvirglrenderer has native contexts, and a GPU for them")
    for args, state in (([], "without"), (["--gpu", "drm"], "missing")):
        done = host(rig, None, "--check", *args)
        found, text = row(done, "vDRM")
        assert found == state, done
        # What there is to be done depends on what is missing: the library's, or the GPU.
        assert "-Ddrm-renderers" in text or "--render-node" in text, text


def test_library_with(rig):
    done = host(rig, "crayon", "--check", "--gpu", "drm")
    assert row(done, "vDRM") == ("ok", "a driver of type 25458"), done
    # One kind that fails makes libvirglrenderer's whole start fail; the other kinds are done without.
    done = host(rig, "crayon", "--check")
    assert row(done, "vDRM")[0] == "ok" and row(done, "Venus")[0] == "without", done


def test_required(rig):
    """What was asked for and can't be had is an error with a way out, not a surprise for the guest later."""
    done = host(rig, "crayon", "--gpu", "venus,drm")
    assert done.returncode == 1, done
    assert re.search("error: host: no Venus: .*virgl_render_server", done.stderr), done
