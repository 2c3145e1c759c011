# SPDX-License-Identifier: MIT
"""A virtual machine that causeway-host itself has started: the user's command line has no word about
Causeway."""
import os
import re
import signal

import pytest

import rig as lab
import vmrig

pytestmark = pytest.mark.timeout(300)


def test_one_command(new_machine):
    """causeway-host adds the device to QEMU, and ends with it; a reboot in between is none of its ends."""
    machine = new_machine(launched=True)
    rig = vmrig.VmRig(machine)
    try:
        sway = rig.sway()
        bridge = rig.bridge(sway)
        client = rig.probe(bridge.display, "client", "c08040", window=True)
        client.ask("color c08040", "painted c08040")
        sway.wait_colors({"client": "c08040"})
    finally:
        rig.finish()
    machine.vm.reboot()
    machine.load_driver()
    machine.alive()
    assert machine.vm.power_off() == 0, machine.vm.report()
    assert not machine.host.running()


def test_device_dies(new_machine):
    """The guest has the desktop; without its device it goes on, and one line says what to do."""
    machine = new_machine(launched=True)
    rig = vmrig.VmRig(machine)
    try:
        compositor = rig.sway()
        machine.connect(rig.dir / compositor.display)
        info = machine.vm.shell(f"{lab.program('causeway-guest')} -- wayland-info")
        assert "xdg_wm_base" in info
        os.kill(machine.host.pid, signal.SIGKILL)

        def told():
            return [line for line in machine.host.errors if "windows are gone" in line]
        lab.wait_until(told, "the line about the device")
        assert len(told()) == 1
        assert re.search("the device's process was killed by signal 9 .*windows are gone; the virtual "
                         "machine keeps running", told()[0]), told()
        assert machine.vm.shell("echo still here") == "still here\n"
        # What that line warns of: a guest that starts its driver again. Were QEMU to live on here, line
        # and README.md would have to change.
        machine.vm.reboot()
        machine.vm.popen(["modprobe", "virtio-gpu"])
        assert machine.vm.qemu.wait(60) == 128 + signal.SIGABRT, machine.vm.report()
    finally:
        lab.Rig.finish(rig)
