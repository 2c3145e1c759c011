# SPDX-License-Identifier: MIT
"""Programs in the guest draw with the host's GPU: what the host shows is, in every byte, what it shows of
the same program with the same driver beside the compositor, and no pixel was copied on the way.

The GPU is Mesa's software one, with dma-bufs by a stand-in for udmabuf (tests/fixture/udmabuf.c).
"""
import dataclasses
import functools
import os
import re
import signal
import tempfile

import pytest

import pixels
import rig as lab
import vmrig
from pixels import Client

pytestmark = pytest.mark.timeout(240)

ICDS = "/usr/share/vulkan/icd.d"
STILL = "tests/integration/clients/still.so"
ZINK = {"MESA_LOADER_DRIVER_OVERRIDE": "zink", "LIBGL_ALWAYS_SOFTWARE": "1"}
NO_LAYERS = {"VK_LOADER_LAYERS_DISABLE": "*"}


def still(name, *args, commits=10, **env):
    """An animated client that stays at a frame (clients/still.c)."""
    return Client(os.path.basename(name), [name, *args], env=dict(
        NO_LAYERS, **env, STILL_COMMITS=str(commits)))


VULKAN = [still("vkcube", "--wsi", "wayland", "--width", "400", "--height", "300")]
GL = [still("weston-simple-egl", **ZINK), still("es2gears_wayland", **ZINK)]
BY_NAME = {client.name: client for client in VULKAN + GL}


def in_guest(client):
    """With the driver of the virtual machine's GPU."""
    return dataclasses.replace(client, env=dict(
        client.env, LD_PRELOAD=str(lab.build_dir() / STILL),
        VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json"))


def beside(client):
    """With the software driver itself."""
    env = lab.with_dmabufs(client.env)
    env["LD_PRELOAD"] += f":{lab.build_dir() / STILL}"
    return dataclasses.replace(client, env=env)


@functools.cache
def wanted(name, renderer):
    """The picture without a machine."""
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    try:
        compositor = pixels.Weston(rig, renderer=renderer)
        empty = compositor.screenshot()
        process = pixels.start_client(rig, beside(BY_NAME[name]), compositor.display)
        return pixels.settled(compositor, process, empty)
    finally:
        rig.finish()


@pytest.fixture(scope="module")
def gpu_machine():
    made = vmrig.Machine(gpu="venus,virgl", reboots=True)
    yield made
    made.finish()


@pytest.fixture
def gpu(gpu_machine):
    """A rig whose guest has a GPU."""
    made = vmrig.VmRig(gpu_machine)
    yield made
    made.finish()


def host_stats(machine):
    """The host's counters."""
    before = len(machine.host.errors)
    os.kill(machine.host.pid, signal.SIGUSR1)
    lab.wait_until(lambda: any(" stats " in line for line in machine.host.errors[before:]),
                   "causeway-host's counters")
    line = next(line for line in machine.host.errors[before:] if " stats " in line)
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}


def guest_shell(gpu, script, **env):
    done = gpu.vm.run(["sh", "-c", script], dict(gpu._guest_env(gpu.env), **NO_LAYERS, **env))
    assert done.returncode == 0, (script, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def test_venus_is_there(gpu):
    text = guest_shell(gpu, "vulkaninfo --summary", VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json")
    assert re.search(r"deviceName\s*= Virtio-GPU Venus \(llvmpipe", text), text


def test_virgl_is_there(gpu):
    text = guest_shell(gpu, "eglinfo -B -p gbm")
    assert re.search(r"OpenGL core profile renderer: virgl \(LLVMPIPE", text), text


@pytest.mark.parametrize("name", list(BY_NAME))
def test_pictures(gpu, name):
    reference = wanted(name, "gl")
    compositor = pixels.Weston(gpu, renderer="gl")
    empty = compositor.screenshot()
    bridge = gpu.bridge(compositor, guest_args=["--stats"])
    copied = host_stats(gpu.machine)["copied_bytes"]
    process = pixels.start_client(gpu, in_guest(BY_NAME[name]), bridge.display)
    pixels.wait_same(compositor, process, reference, f"vm-gpu-{name}")
    assert host_stats(gpu.machine)["copied_bytes"] == copied
    process.kill()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    bridge.guest.stop()
    assert "copied_bytes=0 " in " ".join(bridge.guest.errors), bridge.guest.errors[-5:]
