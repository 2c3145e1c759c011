# SPDX-License-Identifier: MIT
"""A container's programs draw with the host's GPU, by virgl_test_server beside the bridge's socket: what
the host shows is, in every byte, what the same program with the same driver shows without a bridge, and no
pixel was copied on the way.

The GPU is Mesa's software one, with dma-bufs by a stand-in for udmabuf (tests/fixture/udmabuf.c).
"""
import os
import pathlib
import signal
import socket
import stat
import tempfile

from PIL import ImageChops
import pytest

import pixels
import rig as lab
import test_copies
from pixels import Client

pytestmark = pytest.mark.timeout(120)

STILL = "tests/integration/clients/still.so"
ZINK = {"MESA_LOADER_DRIVER_OVERRIDE": "zink", "LIBGL_ALWAYS_SOFTWARE": "1"}
VENUS = ["--gpu", "venus"]


def still(name, *args, **env):
    """An animated client that stays at its tenth frame (clients/still.c), on Venus."""
    return Client(name, [name, *args], env=dict(
        env, STILL_COMMITS="10", LD_PRELOAD=str(lab.build_dir() / STILL), VN_DEBUG="vtest",
        VK_DRIVER_FILES="/usr/share/vulkan/icd.d/virtio_icd.json", VK_LOADER_LAYERS_DISABLE="*"))


CLIENTS = [
    still("vkcube", "--wsi", "wayland", "--width", "400", "--height", "300"),
    still("weston-simple-egl", **ZINK),
    still("es2gears_wayland", **ZINK),
]
BY_NAME = {client.name: client for client in CLIENTS}


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


@pytest.fixture
def gpu(rig):
    """A rig whose host has a GPU."""
    rig.env.update(PATH=f"{rig.dir}/bin:{rig.env['PATH']}",
                   CAUSEWAY_GPU_WORKER=lab.gpu_worker(rig.dir))
    lab.vtest_program(rig.dir)
    return rig


def bridge_with_gpu(rig, compositor, **kwargs):
    bridge = rig.bridge(compositor, host_args=VENUS, **kwargs)
    path = f"{bridge.socket}.vtest"
    bridge._wait_socket(path, bridge.host)
    return bridge, path


def start(rig, name, display, path):
    rig.env["VTEST_SOCKET_NAME"] = path
    return pixels.start_client(rig, BY_NAME[name], display)


def reference(rig, name):
    compositor = pixels.Weston(rig, renderer="gl")
    empty = compositor.screenshot()
    path = f"{rig.dir}/direct.vtest"
    server = rig.start([f"{rig.dir}/bin/virgl_test_server", "--venus", "--no-virgl", "--socket-path",
                        path], dict(rig.env))
    lab.Bridge._wait_socket(path, server)
    process = start(rig, name, compositor.display, path)
    picture = pixels.settled(compositor, process, empty)
    process.kill()
    server.kill()
    compositor.process.stop()
    return picture


@pytest.mark.parametrize("name", list(BY_NAME))
def test_pictures(gpu, name):
    wanted = reference(gpu, name)
    compositor = pixels.Weston(gpu, renderer="gl")
    empty = compositor.screenshot()
    bridge, path = bridge_with_gpu(gpu, compositor)
    pixels.globals_text(gpu, bridge.display)  # what is made once is made now
    start_fds = [lab.counts(program)[0] for program in bridge.processes()]
    process = start(gpu, name, bridge.display, path)
    pixels.wait_same(compositor, process, wanted, f"vtest-{name}")
    counters = test_copies.stats(bridge.host)
    assert counters["copied_bytes"] == 0 and counters["dmabuf_frames"] > 0, counters
    assert test_copies.stats(bridge.guest)["copied_bytes"] == 0
    process.kill()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    lab.wait_until(lambda: all(lab.counts(p)[0] <= then for p, then in
                               zip(bridge.processes(), start_fds)), f"fds to return to {start_fds}")


@pytest.mark.parametrize("name", list(BY_NAME))
def test_compositor_without_dmabufs(gpu, name):
    """The memory of these is a plain file, which wl_shm can show. A byte may be off by one: vkcube takes the first
    format that there is, which then is not one of 16 bits, and that compositor blends in another way."""
    wanted = reference(gpu, name)
    compositor = pixels.Weston(gpu)
    bridge, path = bridge_with_gpu(gpu, compositor)
    process = start(gpu, name, bridge.display, path)

    def look():
        assert process.running(), process.errors[-10:]
        found = compositor.screenshot()
        return found[:2] == wanted[:2] and not any(
            high > 1 for _, high in ImageChops.difference(pixels.image(wanted),
                                                          pixels.image(found)).getextrema())
    lab.wait_until(look, f"the picture of {name}, or almost")
    counters = test_copies.stats(bridge.host)
    assert counters["copied_bytes"] == counters["dmabuf_frames"] == 0, counters


def servers(bridge):
    """Pids of the servers that the host has started."""
    pid = bridge.host.pid
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if pathlib.Path(f"/proc/{child}/comm").read_text() ==
            "virgl_test_serv\n"]


def test_private_and_ended_with_the_host(gpu):
    bridge, path = bridge_with_gpu(gpu, pixels.Weston(gpu))
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0
    (server,) = servers(bridge)
    bridge.host.stop()
    assert not os.path.exists(path)
    assert not os.path.exists(f"/proc/{server}")


def has_ended(pid):
    try:
        return ") Z " in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ended_with_a_killed_host(gpu):
    bridge, _ = bridge_with_gpu(gpu, pixels.Weston(gpu))
    (server,) = servers(bridge)
    bridge.host.kill()
    lab.wait_until(lambda: has_ended(server), "the server's end")


def test_started_again(gpu):
    """It and its programs' processes are gone; other programs live, and new ones have a GPU."""
    compositor = lab.Sway(gpu)
    bridge, path = bridge_with_gpu(gpu, compositor)
    terminal = gpu.probe(bridge.display, "terminal", window=True)
    cube = start(gpu, "vkcube", bridge.display, path)
    lab.wait_until(lambda: len(compositor.windows()) == 2, "both windows")
    (server,) = servers(bridge)
    os.kill(server, signal.SIGKILL)
    bridge.host.expect_error(r"vtest: virgl_test_server was ended by signal 9 .*have one in 0\.5 s")
    cube.kill()
    terminal.ask("color 00ff00", "painted 00ff00")
    lab.wait_until(lambda: servers(bridge) not in ([], [server]), "a new server")
    lab.Bridge._wait_socket(path, bridge.host)
    start(gpu, "vkcube", bridge.display, path)
    lab.wait_until(lambda: len(compositor.windows()) == 2, "a new window")
    assert sum("was ended" in line for line in bridge.host.errors) == 1


def refused(rig, *args):
    done = rig.run([lab.program("causeway-host"), "--socket", f"{rig.dir}/h", "--wayland-display",
                    "/nonexistent", *args], rig.env)
    assert done.returncode == 1
    return done.stderr


def test_missing_server(gpu):
    gpu.env["PATH"] = "/nonexistent:"
    assert "needs virgl_test_server: install the package virgl-server" in refused(gpu, *VENUS)


def test_missing_vulkan(gpu):
    gpu.env["VK_DRIVER_FILES"] = "/nonexistent"
    del gpu.env["CAUSEWAY_GPU_WORKER"]
    assert "host: no Venus: " in refused(gpu, *VENUS)


def test_other_kinds(gpu):
    assert "over a socket there is Venus alone" in refused(gpu, "--gpu", "virgl")


def test_hung_up_programs(gpu):
    """A program that talks nonsense to the server loses its GPU alone, and the log says so."""
    bridge, path = bridge_with_gpu(gpu, pixels.Weston(gpu))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        peer.sendall(b"\xff" * 64)
        bridge.host.expect_error(r"vtest: a program lost its GPU: .*VTEST_CLIENT_ERROR")
    assert len(servers(bridge)) == 1


def run_example(rig, bridge, *argv, **kwargs):
    """examples/container.sh with this build, of whose place it is sure."""
    root = rig.dir / "checkout"
    (root / "examples").mkdir(parents=True)
    (root / "build").symlink_to(lab.build_dir())
    (root / "examples" / "container.sh").symlink_to(lab.CHECKOUT / "examples" / "container.sh")
    return rig.start([str(root / "examples" / "container.sh"), "--socket", bridge.socket, *argv],
                     dict(rig.env, WAYLAND_DISPLAY=bridge.compositor.display), **kwargs)


def test_container(gpu):
    """A sandbox with no GPU node and no compositor's socket; OpenGL's picture is the same."""
    name = "es2gears_wayland"
    wanted = reference(gpu, name)
    compositor = pixels.Weston(gpu, renderer="gl")
    bridge, _ = bridge_with_gpu(gpu, compositor)
    with open(lab.build_dir() / STILL, "rb") as file:
        script = ("ls -d /dev/dri /dev/udmabuf; ls /run/* ; echo looked; "
                  f"STILL_COMMITS=10 LD_PRELOAD=/proc/self/fd/{file.fileno()} exec {name}")
        process = run_example(gpu, bridge, "sh", "-c", script, pass_fds=[file.fileno()])
        process.expect("looked")
        pixels.wait_same(compositor, process, wanted, f"container-{name}")
    assert not [line for line in process.lines if "/dev" in line or "weston" in line]
    assert test_copies.stats(bridge.host)["copied_bytes"] == 0
