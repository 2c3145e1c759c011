# SPDX-License-Identifier: MIT
"""Programs in the guest draw with the host's GPU: what the host shows is, in every byte, what it shows of
the same program with the same driver beside the compositor, and no pixel was copied on the way.

The GPU is Mesa's software one, with dma-bufs by a stand-in for udmabuf (tests/fixture/udmabuf.c).
"""
import dataclasses
import functools
import os
import pathlib
import re
import signal
import tempfile

from PIL import ImageChops
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
def wanted(name, renderer, zink=True):
    """The picture without a machine. zink: or else OpenGL by llvmpipe, which is behind VirGL."""
    rig = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    try:
        compositor = pixels.Weston(rig, renderer=renderer)
        empty = compositor.screenshot()
        process = pixels.start_client(rig, beside(BY_NAME[name] if zink else still(name)),
                                      compositor.display)
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


def test_vulkan_without_dmabufs(gpu):
    """Mesa's way for such compositors: the program's own copy."""
    compositor = pixels.Weston(gpu, renderer="gl")
    bridge = gpu.bridge(compositor)
    client = in_guest(BY_NAME["vkcube"])
    client.env["MESA_VK_WSI_DEBUG"] = "sw"
    process = pixels.start_client(gpu, client, bridge.display)
    pixels.wait_same(compositor, process, wanted("vkcube", "gl"), "vm-gpu-vkcube-sw")


@pytest.mark.parametrize("renderer", ["pixman", "gl"])
@pytest.mark.parametrize("name", ["weston-simple-egl", "es2gears_wayland"])
def test_virgl_pictures(gpu, name, renderer):
    """OpenGL by VirGL: its images are dma-bufs of the host's driver; for a compositor that takes none the worker
    reads what has changed. The same driver draws in the end, but gears' shaders are not what they were."""
    client = still(name)
    reference = wanted(name, "pixman", zink=False)
    compositor = pixels.Weston(gpu, renderer=renderer)
    bridge = gpu.bridge(compositor)
    copied = host_stats(gpu.machine)["copied_bytes"]
    process = pixels.start_client(gpu, in_guest(client), bridge.display)

    def almost():
        assert process.running(), process.errors[-10:]
        found = compositor.screenshot()
        off = ImageChops.difference(pixels.image(reference), pixels.image(found)).convert("L")
        return sum(off.histogram()[9:]) < found[0] * found[1] / 1000
    if (name, renderer) == ("weston-simple-egl", "pixman"):
        pixels.wait_same(compositor, process, reference, f"vm-virgl-{name}")
    else:
        lab.wait_until(almost, f"the picture of {name}, or almost")
    assert (host_stats(gpu.machine)["copied_bytes"] > copied) == (renderer == "pixman")


def child(pid):
    """A process's only child, once it is there."""
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    lab.wait_until(lambda: len(path.read_text().split()) == 1, lambda: f"{pid} to have one child; it "
                   f"has {path.read_text()}")
    return int(path.read_text())


def worker_of(machine):
    """The device's GPU worker, which there is while a program has a GPU."""
    return child(machine.host.pid)


def server_of(machine):
    """The process of libvirglrenderer that starts one for each program on Venus."""
    return child(worker_of(machine))


def context_of(machine):
    """The process of a program on Venus."""
    return child(server_of(machine))


def start_cube(gpu, bridge):
    return pixels.start_client(gpu, Client("vkcube", ["vkcube", "--wsi", "wayland"], env={
        **NO_LAYERS, "VK_DRIVER_FILES": f"{ICDS}/virtio_icd.json"}), bridge.display)


@pytest.mark.parametrize("victim", [worker_of, server_of, context_of])
def test_gpu_process_is_killed(gpu, victim):
    """Its programs lose their GPU; a terminal beside them lives on, and the next program has a GPU."""
    compositor = lab.Sway(gpu)
    bridge = gpu.bridge(compositor)
    terminal = gpu.probe(bridge.display, "terminal", window=True)
    cube = start_cube(gpu, bridge)
    lab.wait_until(lambda: len(compositor.windows()) == 2, "both windows")
    os.kill(victim(gpu.machine), signal.SIGKILL)
    terminal.ask("color ff0000", "painted ff0000")
    cube.kill()
    lab.wait_until(lambda: list(compositor.windows()) == ["terminal"], "the terminal alone")
    again = start_cube(gpu, bridge)
    lab.wait_until(lambda: len(compositor.windows()) == 2 or not again.running(), "a new window")
    assert again.running(), again.errors[-10:]
    terminal.ask("color 00ff00", "painted 00ff00")
    if victim is worker_of:
        gpu.machine.host.expect_error("gpu: the worker is gone.*signal 9")
    again.kill()


def test_venus_is_there(gpu):
    text = guest_shell(gpu, "vulkaninfo --summary", VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json")
    assert re.search(r"deviceName\s*= Virtio-GPU Venus \(llvmpipe", text), text


def test_virgl_is_there(gpu):
    text = guest_shell(gpu, "eglinfo -B -p gbm")
    assert re.search(r"OpenGL core profile renderer: virgl \(LLVMPIPE", text), text


def wait_close(compositor, process, reference, name):
    """Until no byte is off by more than one: vkcube takes the first format that there is, which on a GPU
    is one of 16 bits, and on the CPU of 8."""
    def look():
        assert process.running(), process.errors[-10:]
        found = compositor.screenshot()
        return found[:2] == reference[:2] and not any(
            high > 1 for _, high in ImageChops.difference(pixels.image(reference),
                                                          pixels.image(found)).getextrema())
    lab.wait_until(look, f"the picture of {name}, or almost")


@pytest.mark.parametrize("renderer", ["gl", "pixman"])
@pytest.mark.parametrize("name", list(BY_NAME))
def test_pictures(gpu, name, renderer):
    """A compositor with linux-dmabuf, and one without, which gets the memory as wl_shm."""
    reference = wanted(name, renderer)
    compositor = pixels.Weston(gpu, renderer=renderer)
    empty = compositor.screenshot()
    bridge = gpu.bridge(compositor, guest_args=["--stats"])
    copied = host_stats(gpu.machine)["copied_bytes"]
    process = pixels.start_client(gpu, in_guest(BY_NAME[name]), bridge.display)
    wait = wait_close if name == "vkcube" else pixels.wait_same
    wait(compositor, process, reference, f"vm-gpu-{name}")
    # Tables of formats, on their way to the guest, are all that was copied.
    assert host_stats(gpu.machine)["copied_bytes"] - copied < 65536
    process.kill()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    bridge.guest.stop()
    bridge.guest.wait()
    assert "copied_bytes=0 " in " ".join(bridge.guest.errors), bridge.guest.errors[-5:]


def nested_weston(gpu, bridge, renderer):
    """weston in the guest as a client of the bridge; returns its process and display."""
    display = f"nested-{gpu.number()}"
    env = dict(gpu.env, WAYLAND_DISPLAY=bridge.display, VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json",
               **NO_LAYERS, **ZINK)
    process = gpu.start_in_guest(
        ["weston", "--backend=wayland", f"--renderer={renderer}", "--shell=kiosk", "--no-config",
         f"--socket={display}", "--width=400", "--height=300"], env)
    gpu.displays.add(display)
    path = f"{gpu._guest_env(gpu.env)['XDG_RUNTIME_DIR']}/{display}"
    lab.wait_until(lambda: bridge._listening(path), "weston in the guest")
    return process, display


def test_nested_compositor(gpu):
    """weston on Zink on Venus, and a program of its own: the picture of weston that draws with the CPU."""
    shown = []
    for renderer in ("pixman", "gl"):
        compositor = pixels.Weston(gpu, renderer="gl")
        empty = compositor.screenshot()
        bridge = gpu.bridge(compositor)
        weston, display = nested_weston(gpu, bridge, renderer)
        client = Client("shm-paint", [pixels.example("shm-paint"), "--frames", "1"], says="frame 1")
        process = pixels.start_client(gpu, client, display)
        shown.append(pixels.settled(compositor, process, empty))
        weston.stop()
        bridge.guest.stop()
        compositor.process.stop()
    assert any("zink" in line for line in weston.errors), weston.errors
    assert shown[0] == shown[1], pixels.save("vm-gpu-nested", *shown)


def test_environment(new_machine):
    """Where the host has Vulkan alone, OpenGL programs get Zink on it."""
    machine = new_machine(gpu="venus")
    text = machine.vm.shell(f"{lab.program('causeway-guest')} --print-environment")
    assert text == "MESA_LOADER_DRIVER_OVERRIDE=zink\n"
    made = vmrig.VmRig(machine)
    try:
        compositor = pixels.Weston(made, renderer="gl")
        machine.connect(made.dir / compositor.display)
        run = f"LIBGL_ALWAYS_SOFTWARE=1 {lab.program('causeway-guest')} -- eglinfo -B -p wayland"
        text = guest_shell(made, run, VK_DRIVER_FILES=f"{ICDS}/virtio_icd.json")
        assert re.search(r"OpenGL ES profile renderer: zink Vulkan .*Virtio-GPU Venus", text), text
        text = guest_shell(made, f"{lab.program('causeway-guest')} --check")
        assert "ok       Vulkan: Venus\n" in text and "OpenGL: Zink on Venus" in text, text
    finally:
        made.finish()


def test_no_environment(gpu):
    """Mesa finds VirGL by itself."""
    compositor = pixels.Weston(gpu, renderer="gl")
    gpu.machine.connect(gpu.dir / compositor.display)
    assert guest_shell(gpu, f"{lab.program('causeway-guest')} --print-environment") == ""
    text = guest_shell(gpu, f"{lab.program('causeway-guest')} --check")
    assert "ok       Vulkan: Venus\n" in text and "ok       OpenGL: VirGL" in text, text
