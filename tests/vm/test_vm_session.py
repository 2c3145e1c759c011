# SPDX-License-Identifier: MIT
"""The systemd user units, in a guest whose user has a systemd of their own."""
import pytest

import rig as lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def session(rig):
    """systemd's user manager, with our units installed as a package would; run(ARGV) asks it."""
    vm = rig.vm
    # The manager only starts where it takes the system to have been booted by systemd.
    vm.shell(f"""
        mkdir -p /run/systemd/system /etc/systemd/user
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        ln -s {lab.program('causeway-guest')} /usr/local/bin/
        cp {lab.CHECKOUT}/guest-proxy/causeway-guest.s* /etc/systemd/user/""")
    manager = lab.Process(["systemd"], popen=vm.popen(["/usr/lib/systemd/systemd", "--user"]))
    lab.wait_until(lambda: vm.run(["systemctl", "--user", "is-active", "-q", "basic.target"]
                                  ).returncode == 0 or not manager.running(), "the user manager")
    assert manager.running(), manager.errors
    yield manager
    if vm.running():
        manager.stop()
        vm.shell("umount /sys/fs/cgroup; rmdir /run/systemd/system; rm /usr/local/bin/causeway-guest")


def environment(vm):
    text = vm.shell("systemctl --user show-environment")
    return dict(line.split("=", 1) for line in text.splitlines())


def in_session(vm, *argv):
    """What a program says that the user manager starts: it has the manager's environment only."""
    return vm.run(["systemd-run", "--user", "--quiet", "--pipe", "--wait", *argv])


def test_units(rig, session):
    vm = rig.vm
    sway = rig.sway()
    rig.machine.connect(rig.dir / sway.display)
    assert "WAYLAND_DISPLAY" not in environment(vm)
    vm.shell("systemctl --user start causeway-guest.socket")
    assert environment(vm)["WAYLAND_DISPLAY"] == "wayland-1"
    active = ["systemctl", "--user", "is-active", "-q", "causeway-guest.service"]
    assert vm.run(active).returncode != 0, "it runs though no program has come"
    done = in_session(vm, "wayland-info")
    assert done.returncode == 0 and "xdg_wm_base" in done.stdout, done
    assert vm.run(active).returncode == 0
    # A window; and a proxy that is killed comes back.
    rig.displays.add("wayland-1")
    client = rig.probe("wayland-1", "unit", "40c060", window=True)
    client.ask("color 40c060", "painted 40c060")
    sway.wait_colors({"unit": "40c060"})
    vm.shell("systemctl --user kill -s KILL causeway-guest.service")
    client.expect(r"closed .*")
    assert client.wait() == 3
    lab.wait_until(lambda: "xdg_wm_base" in in_session(vm, "wayland-info").stdout,
                   "the proxy to be started again")
    vm.shell("systemctl --user stop causeway-guest.socket causeway-guest.service")
    assert "WAYLAND_DISPLAY" not in environment(vm)


def test_session(rig, session):
    """A session bus and systemd, as a desktop's: both learn of the display; portals come by it."""
    vm = rig.vm
    vm.shell("systemctl --user start dbus.socket")
    sway = rig.sway(size=(640, 480))
    bridge = rig.bridge(sway)
    lab.wait_until(lambda: environment(vm).get("WAYLAND_DISPLAY") == bridge.display,
                   "the user manager to know the display")
    found = environment(vm)
    assert (found["XDG_SESSION_TYPE"], found["XDG_CURRENT_DESKTOP"]) == ("wayland", "causeway")
    done = in_session(vm, "wayland-info")
    assert done.returncode == 0 and "xdg_wm_base" in done.stdout, done
    rig.displays.add(bridge.display)
    program = rig.start([lab.program("portal")], dict(rig.env, WAYLAND_DISPLAY=bridge.display))
    program.ask("setting org.gnome.desktop.interface font-name", r"setting s .*\d+")
    program.ask("open A file", "asked")
    lab.wait_until(lambda: "A file" in sway.windows(), "the portal's dialog")
    bridge.guest.stop()
    left = environment(vm)
    assert not {"WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP"} & set(left), left
