# SPDX-License-Identifier: MIT
"""A virtual machine that causeway-host itself has started."""
import os
import pathlib
import re
import signal

import pytest

import boot
import guest
import rig as lab

pytestmark = pytest.mark.timeout(300)


def children(pid):
    return [int(word) for word in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def launch(monkeypatch, tmp_path):
    """Boots a guest as the user's command line is to look: without a word about Causeway."""
    made = []

    def start(compositor, *more):
        plain = boot.arguments

        def arguments(*args, **options):
            argv = plain(*args, **options)
            at = argv.index("-object")
            assert argv[at + 2] == "-machine"
            return [lab.program("causeway-host"), "--wayland-display", str(compositor), "--",
                    *argv[:at], "-machine", "q35", *argv[at + 4:], *more]

        monkeypatch.setattr(boot, "arguments", arguments)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        made.append(guest.Guest(memory="1G", reboots=True))
        return made[-1]

    yield start
    for vm in made:
        print(vm.report())
        vm.finish()


def log(vm):
    return (vm.folder / "qemu.log").read_text(errors="replace")


def test_device_dies(launch, tmp_path):
    """The guest has the desktop; without its device it goes on, and one line says what to do."""
    rig = lab.Rig(tmp_path)
    try:
        sway = rig.sway()
        vm = launch(rig.dir / sway.display)
        vm.run(["modprobe", "virtio-gpu"], check=True)
        info = vm.shell(f"{lab.program('causeway-guest')} --transport virtgpu -- wayland-info")
        assert "xdg_wm_base" in info
        (device,) = [pid for pid in children(vm.qemu.pid)
                     if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("causeway")]
        os.kill(device, signal.SIGKILL)
        lab.wait_until(lambda: "windows are gone" in log(vm), "the line about the device")
        assert len(re.findall("the device's process was killed by signal 9 .*windows are gone; "
                              "the virtual machine keeps running", log(vm))) == 1
        assert vm.shell("echo still here") == "still here\n"
        # What that line warns of: a guest that starts its driver again. Were QEMU to live on here, line
        # and README.md would have to change.
        vm.reboot()
        vm.popen(["modprobe", "virtio-gpu"])
        assert vm.qemu.wait(60) == 128 + signal.SIGABRT, vm.report()
    finally:
        rig.finish()
