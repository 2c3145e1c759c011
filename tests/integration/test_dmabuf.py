# SPDX-License-Identifier: MIT
"""linux-dmabuf that causeway-host offers itself, with memory in plain files, which needs no GPU."""
import tempfile

import pytest

import pixels
import rig as lab
import test_copies

pytestmark = pytest.mark.timeout(90)

SHAPE = ["--size", "333x217", "--damage", "31,17,100,50", "--frames", "5"]


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The same picture through wl_shm, without a bridge."""
    made = lab.Rig(tmp_path_factory.mktemp("cw"))
    try:
        return pixels.reference(made, pixels.Client(
            "shm-paint", [pixels.example("shm-paint"), *SHAPE], says="frame 5"))
    finally:
        made.finish()


def client(*args, says="frame 5"):
    return pixels.Client("dmabuf-paint", [lab.program("dmabuf-paint"), *args], says=says)


def show(rig, wanted, request, version, host_args):
    compositor = pixels.Weston(rig)
    empty = compositor.screenshot()
    bridge = rig.bridge(compositor, host_args=host_args)
    pixels.globals_text(rig, bridge.display)  # what is made once is made now
    start = [lab.counts(process)[0] for process in bridge.processes()]
    process = pixels.start_client(rig, client("memfd", request, version, *SHAPE), bridge.display)
    pixels.wait_same(compositor, process, wanted, f"dmabuf-{request}-{version}")
    for program in bridge.processes():
        assert test_copies.stats(program)["copied_bytes"] == 0
    process.stop()
    lab.wait_until(lambda: compositor.screenshot() == empty, "the empty desktop")
    lab.wait_until(lambda: all(lab.counts(p)[0] <= then for p, then in
                               zip(bridge.processes(), start)), f"fds to return to {start}")
    for program in bridge.processes():
        assert program.running(), program.errors[-10:]
    return bridge


@pytest.mark.parametrize("version", ["3", "4", "5"])
@pytest.mark.parametrize("request_name", ["create", "immed"])
@pytest.mark.parametrize("present", ["auto", "shm"])
def test_files_are_shown_without_a_copy(rig, wanted, present, request_name, version):
    bridge = show(rig, wanted, request_name, version, ["--present", present])
    assert test_copies.stats(bridge.host)["dmabuf_frames"] == 0


def look(rig, version, host_args=()):
    compositor = pixels.Weston(rig)
    bridge = rig.bridge(compositor, host_args=host_args)
    process = pixels.start_client(rig, client("memfd", "look", version, says="looked"),
                                  bridge.display)
    assert process.wait() == 0
    return process.lines


def test_modifiers(rig):
    """What wl_shm has, LINEAR, before the answer to a sync."""
    lines = look(rig, "3")
    assert {"modifier XR24 0", "modifier AR24 0"} <= set(lines)
    assert all(line.endswith(" 0") for line in lines[:-1])
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("version", ["4", "5"])
def test_feedback(rig, version):
    lines = look(rig, version)
    assert lines[0].startswith("main ") and lines[1] == lines[0].replace("main", "tranche")
    assert {"row XR24 0", "row AR24 0"} <= set(lines)
    assert lines[-1] == "looked"


def test_not_offered_if_told_so(rig):
    compositor = pixels.Weston(rig)
    for args in (["--present", "dmabuf"], ["--deny", "zwp_linux_dmabuf_v1"]):
        bridge = rig.bridge(compositor, host_args=args)
        assert "zwp_linux_dmabuf_v1" not in pixels.globals_text(rig, bridge.display)


@pytest.mark.parametrize("renderer", ["gl", "pixman"])
@pytest.mark.parametrize("request_name", ["create", "immed"])
def test_memory_of_udmabuf(rig, wanted, request_name, renderer):
    """Real dma-bufs where the kernel has udmabuf: as they are to a compositor that draws with OpenGL, and
    else by way of wl_shm."""
    compositor = pixels.Weston(rig, renderer=renderer)
    bridge = rig.bridge(compositor)
    painter = client("udmabuf", request_name, "3", *SHAPE)
    painter.env.update(lab.with_dmabufs({}))
    process = pixels.start_client(rig, painter, bridge.display)
    pixels.wait_same(compositor, process, wanted, f"udmabuf-{request_name}-{renderer}")
    counters = test_copies.stats(bridge.host)
    if renderer == "gl":
        assert counters["copied_bytes"] == 0 and counters["dmabuf_frames"] == 5, counters
    else:
        assert counters["dmabuf_frames"] == 0, counters
    assert test_copies.stats(bridge.guest)["copied_bytes"] == 0
