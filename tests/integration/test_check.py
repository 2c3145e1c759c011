# SPDX-License-Identifier: MIT
"""causeway-guest --check and causeway-host --check: what is there, and what is missing where."""
import re
import socket

import pytest

import rig as lab

pytestmark = pytest.mark.timeout(60)


def check(rig, name, *args, status, **env):
    """Lines of a check, by what they are about: {"transport": ("ok", text)}."""
    done = rig.run([lab.program(f"causeway-{name}"), "--check", *args],
                   {k: v for k, v in {**rig.env, **env}.items() if v is not None})
    assert done.returncode == status, (done.stdout, done.stderr)
    assert not done.stderr, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        kind, text = re.fullmatch(r"(ok|missing|without) +(.*)", line).groups()
        found[text.split(":")[0]] = (kind, text)
    return found


def test_guest_with_a_host(rig):
    bridge = rig.bridge(rig.sway(size=(320, 240)))
    found = check(rig, "guest", "--transport", f"socket:{bridge.socket}", status=0)
    assert found["XDG_RUNTIME_DIR"] == ("ok", f"XDG_RUNTIME_DIR: {rig.dir}")
    assert found["transport"] == ("ok", f"transport: {bridge.socket}")
    kind, text = found["Wayland on the host"]
    usable = int(re.search(r"(\d+) globals usable", text)[1])
    assert kind == "ok" and usable > 10, text
    assert found["X11 programs"][0] == "ok"
    bare = check(rig, "guest", "--transport", f"socket:{bridge.socket}", status=0, PATH="/nonexistent")
    assert bare["X11 programs"][0] == "without" and "xwayland" in bare["X11 programs"][1]
    # It was a look only: others are served as before.
    rig.probe(bridge.display, "after", window=True)


def test_guest_without_a_host(rig):
    path = f"{rig.dir}/nobody.sock"
    found = check(rig, "guest", "--transport", f"socket:{path}", status=1)
    assert found["transport"] == ("missing", f"transport: socket:{path}: No such file or directory"
                                  ": start causeway-host --socket with this path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(path)
    found = check(rig, "guest", "--transport", f"socket:{path}", status=1)
    assert "Connection refused" in found["transport"][1]
    assert "Wayland on the host" not in found


def test_guest_with_a_host_that_says_nothing(rig):
    path = f"{rig.dir}/mute.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mute:
        mute.bind(path)
        mute.listen()
        found = check(rig, "guest", "--transport", f"socket:{path}", status=1)
    assert found["transport"][0] == "ok"
    kind, text = found["Wayland on the host"]
    assert kind == "missing" and "no answer within 5 seconds" in text


def test_guest_with_a_host_without_a_compositor(rig):
    host = rig.start([lab.program("causeway-host"), "--socket", f"{rig.dir}/host.sock",
                      "--wayland-display", f"{rig.dir}/gone"])
    lab.Bridge._wait_socket(f"{rig.dir}/host.sock", host)
    found = check(rig, "guest", "--transport", f"socket:{rig.dir}/host.sock", status=1)
    assert found["transport"][0] == "ok"
    kind, text = found["Wayland on the host"]
    assert kind == "missing" and "--wayland-display" in text


def test_guest_without_a_virtio_gpu(rig):
    found = check(rig, "guest", "--transport", "virtgpu:/nonexistent/renderD128", status=1)
    kind, text = found["transport"]
    assert kind == "missing" and "/nonexistent/renderD128" in text, text
    assert "causeway-host -- qemu" in text
    found = check(rig, "guest", "--transport", "virtgpu:/dev/null", status=1)
    assert "the render node is not a virtio-gpu" in found["transport"][1]


@pytest.mark.parametrize("value,reason", [
    (None, "not set"), ("", "not set"), ("relative", "not set"),
    ("/nonexistent", "no such folder"), ("/proc/1", "must be your own")])
def test_guest_without_a_runtime_folder(rig, value, reason):
    found = check(rig, "guest", "--transport", "socket:/nonexistent", status=1,
                  XDG_RUNTIME_DIR=value)
    kind, text = found["XDG_RUNTIME_DIR"]
    assert kind == "missing" and reason in text, text


def test_host_with_a_compositor(rig):
    display = rig.sway(size=(320, 240)).display
    path = f"{rig.dir}/host.sock"
    found = check(rig, "host", "--socket", path, status=0, WAYLAND_DISPLAY=display)
    assert found[f"compositor at {rig.dir}/{display}"][0] == "ok"
    assert found[f"socket {path}"][0] == "ok"
    for name in ("wl_shm", "xdg_wm_base", "wp_security_context_manager_v1"):
        (text,) = [text for text in found if text.startswith(name)]
        assert found[text][0] == "ok" and re.search(r" version \d+$", text), text
    # Served by another one, which is not disturbed.
    host = rig.start([lab.program("causeway-host"), "--socket", path],
                     dict(rig.env, WAYLAND_DISPLAY=display))
    lab.Bridge._wait_socket(path, host)
    found = check(rig, "host", "--socket", path, status=0, WAYLAND_DISPLAY=display)
    assert "another causeway-host serves it" in found[f"socket {path}"][1]
    check(rig, "guest", "--transport", f"socket:{path}", status=0)


def test_host_without_a_compositor(rig):
    path = f"{rig.dir}/host.sock"
    found = check(rig, "host", "--socket", path, "--wayland-display", "gone", status=1)
    (text,) = [text for text in found if text.startswith("compositor at")]
    assert found[text][0] == "missing" and "--wayland-display or WAYLAND_DISPLAY" in found[text][1]
    assert not any(text.startswith("wl_shm") for text in found)
    found = check(rig, "host", "--wayland-display", "gone", status=1, XDG_RUNTIME_DIR=None)
    assert found["compositor"][0] == found["socket"][0] == "missing"
    assert "XDG_RUNTIME_DIR" in found["compositor"][1] and "--socket" in found["socket"][1]
    found = check(rig, "host", "--socket", "/nonexistent/host.sock", status=1)
    assert "--socket" in found["socket /nonexistent/host.sock (No such file or directory)"][1]


def test_host_with_a_compositor_that_says_nothing(rig):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{rig.dir}/mute")
        mute.listen()
        found = check(rig, "host", "--socket", f"{rig.dir}/host.sock", "--wayland-display", "mute",
                      status=1)
    (text,) = [text for text in found if text.startswith("compositor at")]
    assert found[text][0] == "missing" and "timed out" in text


def test_host_with_a_gpu_for_containers(rig):
    """virgl_test_server is needed only where Venus is asked for by name."""
    path = f"{rig.dir}/host.sock"
    args = ["--socket", path, "--wayland-display", rig.sway(size=(320, 240)).display]
    server = "virgl_test_server, for containers with --gpu venus"
    worker = {"CAUSEWAY_GPU_WORKER": lab.gpu_worker(rig.dir)}
    assert check(rig, "host", *args, "--gpu", "venus", status=0, **worker)[server][0] == "ok"
    missing = {**worker, "PATH": "/nonexistent"}
    found = check(rig, "host", *args, "--gpu", "venus", status=1, **missing)
    assert found[server] == ("missing", f"{server}: install the package virgl-server, with "
                             "virglrenderer's Venus")
    assert check(rig, "host", *args, status=0, **missing)[server][0] == "without"
    assert server not in check(rig, "host", *args, "--gpu", "none", status=0)
