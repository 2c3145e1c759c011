# SPDX-License-Identifier: MIT
"""wayland-info through the bridge says what it says directly, but for the documented refusals."""
import re
import subprocess
import tempfile

import pytest

import pixels
import rig as lab

pytestmark = pytest.mark.timeout(90)

# What the bridge does not offer of that which a compositor here has, and a word of the reason
# that causeway-host --print-policy gives.
REFUSED = {
    "ext_foreign_toplevel_list_v1": "lists",
    "ext_session_lock_manager_v1": "locks",
    "ext_transient_seat_manager_v1": "seats",
    "ext_data_control_manager_v1": "clipboard",
    "ext_image_copy_capture_manager_v1": "captures",
    "ext_output_image_capture_source_manager_v1": "captures",
    "ext_foreign_toplevel_image_capture_source_manager_v1": "captures",
    "ext_workspace_manager_v1": "workspaces",
    "wp_drm_lease_device_v1": "display",
    "wp_linux_drm_syncobj_manager_v1": "timelines",
    "wp_security_context_manager_v1": "sockets",
    "zwlr_data_control_manager_v1": "clipboard",
    "zwlr_export_dmabuf_manager_v1": "screen",
    "zwlr_foreign_toplevel_manager_v1": "windows",
    "zwlr_gamma_control_manager_v1": "colours",
    "zwlr_layer_shell_v1": "above",
    "zwlr_output_manager_v1": "outputs",
    "zwlr_output_power_manager_v1": "outputs",
    "zwlr_screencopy_manager_v1": "captures",
    "zwlr_virtual_pointer_manager_v1": "input",
    "zwp_input_method_manager_v2": "typed",
    "zwp_input_method_v1": "typed",
    "zwp_linux_explicit_synchronization_v1": "fences",
    "zwp_virtual_keyboard_manager_v1": "input",
}
# Compositors' own protocols, for which no XML is published: unknown, so not offered.
UNKNOWN = {
    "weston_capture_v1": "weston's screenshots",
    "weston_debug_v1": "weston's debug streams",
}
# What sway itself hides from a client in a security context.
HIDDEN_BY_SWAY = {"zxdg_output_manager_v1", "zwp_keyboard_shortcuts_inhibit_manager_v1"}
# Lower than the compositor's: interface -> (highest offered, why). None so far.
LOWER = {}
# What causeway-host and causeway-guest offer themselves where the compositor has none, behind all others.
OWN = [("zwp_linux_dmabuf_v1", 5), ("wp_cursor_shape_manager_v1", 2)]


@pytest.fixture
def rig():
    made = lab.Rig(tempfile.mkdtemp(prefix="cw-"))
    yield made
    made.finish()


def parse(text):
    """[(interface, version, details)] in the order of the announcements."""
    found = []
    for line in text.splitlines():
        head = re.fullmatch(r"interface: '(\w+)',\s+version:\s+(\d+), name:\s+\d+", line)
        if head:
            found.append((head[1], int(head[2]), []))
        else:
            # Ids of objects are each connection's own.
            found[-1][2].append(re.sub(r"^(\s+output:) \d+$", r"\1 ID", line))
    return found


def listed():
    """What causeway-host says about itself: {interface: (highest version, state, reason)}."""
    done = subprocess.run([lab.program("causeway-host"), "--print-policy"], text=True,
                          capture_output=True, timeout=lab.DEADLINE, check=True)
    rows = (re.fullmatch(r"(\w+)\s+(\d+)\s+(\w+)\s+\S+\s+(.*)", line)
            for line in done.stdout.splitlines()[1:])
    return {row[1]: (int(row[2]), row[3], row[4]) for row in rows}


def without_own(found, direct, more=()):
    """The globals that the compositor has. more: what is offered besides OWN, whatever it has."""
    there = {name for name, _, _ in direct}
    own = [(name, version) for name, version in OWN if name not in there] + list(more)
    count = len(found) - len(own)
    assert [row[:2] for row in found[count:]] == own
    return found[:count]


def compare(rig, compositor, security, hidden=()):
    direct = parse(pixels.globals_text(rig, compositor.display))
    bridge = rig.bridge(compositor, host_args=["--security-context", security,
                                              "--log-level", "debug"])
    found = parse(pixels.globals_text(rig, bridge.display))
    missing = {*REFUSED, *UNKNOWN, *hidden}
    expected = [(name, min(version, LOWER.get(name, (version,))[0]), details)
                for name, version, details in direct if name not in missing]
    assert without_own(found, direct) == expected
    assert len(found) > 10, "hardly a compositor"
    refused = {name for name, _, _ in direct} & {*REFUSED, *UNKNOWN}
    assert refused, "nothing was refused: this tested nothing"
    if security == "off":
        # One log line per refusal (of unknown ones for developers, at level debug); behind a
        # security context the compositor refuses first.
        for name in refused:
            bridge.host.expect_error(rf"policy: {name} is withheld")


def test_weston(rig):
    compare(rig, pixels.Weston(rig), "off")


def test_sway(rig):
    compare(rig, rig.sway(), "off")


def test_sway_with_security_context(rig):
    compare(rig, rig.sway(), "require", HIDDEN_BY_SWAY)


def test_several_outputs_and_seats(rig):
    sway = rig.sway(outputs=2, config="seat second fallback false\nseat third fallback false\n")
    text = pixels.globals_text(rig, sway.display)
    assert text.count("'wl_output'") == 2
    compare(rig, sway, "off")


def test_list_names_the_reasons():
    rows = listed()
    for name, word in REFUSED.items():
        assert name in rows, name
        _, state, reason = rows[name]
        assert state in ("withheld", "never") and word in reason, (name, rows[name])
    for name in UNKNOWN:
        assert name not in rows
    refused = {name for name, row in rows.items() if row[1] != "offered"}
    assert all(rows[name][2] for name in refused), "a refusal without a reason"
    assert not refused & set(LOWER)


def test_offered_versions_are_not_below_the_compositors(rig):
    """A version lower than a compositor's is a gap, unless it is written down here."""
    rows = listed()
    for compositor in (pixels.Weston(rig), rig.sway()):
        for name, version, _ in parse(pixels.globals_text(rig, compositor.display)):
            if name in rows and rows[name][1] == "offered":
                assert rows[name][0] >= min(version, LOWER.get(name, (version,))[0]), name


def test_allow_and_deny(rig):
    """Both options, with and without a version, change what the guest sees and nothing else."""
    sway = rig.sway()
    plain = parse(pixels.globals_text(rig, rig.bridge(
        sway, host_args=["--security-context", "off"]).display))
    bridge = rig.bridge(sway, host_args=[
        "--security-context", "off", "--allow", "zwlr_gamma_control_manager_v1",
        "--allow", "wl_compositor:4", "--deny", "zxdg_exporter_v1", "--deny", "xdg_wm_base:3"])
    found = {name: version for name, version, _ in
             parse(pixels.globals_text(rig, bridge.display))}
    expected = {name: version for name, version, _ in plain if name != "zxdg_exporter_v1"}
    expected.update({"zwlr_gamma_control_manager_v1": 1, "wl_compositor": 4, "xdg_wm_base": 2})
    assert found == expected
