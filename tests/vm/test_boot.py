# SPDX-License-Identifier: MIT
"""The rig itself: a guest boots, runs programs as asked, and says so when something is wrong."""
import pathlib
import signal
import subprocess

import pytest

import boot
import guest
import rig as lab

pytestmark = pytest.mark.timeout(200)
# QEMU's own virtio-gpu: the same driver, without anything of ours.
QEMU_GPU = ["-device", "virtio-gpu-pci,max_outputs=1"]


@pytest.fixture(scope="module")
def vm():
    made = guest.Guest(QEMU_GPU, reboots=True, memory="1G")
    yield made
    made.finish()


def test_programs(vm):
    done = vm.run(["sh", "-c", "echo out; echo err >&2; cat; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    assert vm.run(["sh", "-c", "kill -9 $$"]).returncode == -9
    assert vm.run(["/nonexistent"]).returncode == 127
    with pytest.raises(guest.GuestError, match="status 3"):
        vm.run(["sh", "-c", "exit 3"], check=True)
    cat = lab.Process(["cat"], popen=vm.popen(["cat"]))
    other = lab.Process(["cat"], popen=vm.popen(["sh", "-c", "read a; echo $a; sleep 1000"]))
    for word in ("grüße", "again"):
        assert cat.ask(word, word)
    other.ask("second", "second")
    cat.popen.stdin.close()
    assert cat.wait() == 0
    other.popen.send_signal(signal.SIGTERM, group=True)
    assert other.wait() == -signal.SIGTERM
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper = vm.popen(["sleep", "1000"])
        sleeper.wait(0.1)
    sleeper.kill()
    assert sleeper.wait(10) == -9


def test_much_output(vm):
    """More than fits into any pipe arrives whole; without end it is cut off, and nothing stops."""
    done = vm.run(["sh", "-c", "yes 0123456789abcde | head -c 3000000"])
    assert done.stdout == "0123456789abcde\n" * (3000000 // 16)
    done = vm.run(["sh", "-c", "yes | head -c 6000000; echo end >&2"])
    assert len(done.stdout) == 4 << 20 and done.stderr == "end\n"


def test_files(vm):
    data = bytes(range(256)) * 2000
    vm.write("/tmp/folder/file", data, 0o751)
    assert vm.read("/tmp/folder/file") == data
    assert vm.shell("stat -c %a /tmp/folder/file").strip() == "751"
    with pytest.raises(guest.GuestError, match="FileNotFoundError"):
        vm.read("/nonexistent")


def test_root_is_the_callers(vm):
    """Same programs, same build, but nothing written there is ours."""
    assert vm.shell("uname -r").strip() == boot.kernel()[1]
    assert vm.read(__file__) == pathlib.Path(__file__).read_bytes()
    assert vm.run([lab.program("causeway-guest"), "--version"]).returncode == 0
    vm.shell("touch /etc/made-in-the-guest")
    assert not pathlib.Path("/etc/made-in-the-guest").exists()
    assert vm.shell("cat /sys/class/net/lo/operstate; stat -c %a $XDG_RUNTIME_DIR /dev/shm")


def test_driver_binds(vm):
    vm.run(["modprobe", "virtio-gpu"], check=True)
    assert "renderD128" in vm.shell("ls /dev/dri")
    assert "[drm] Initialized virtio_gpu" in vm.dmesg()


def test_reboot(vm):
    before = float(vm.read("/proc/uptime").split()[0])
    sleeper = vm.popen(["sleep", "1000"])
    vm.shell("touch /tmp/before")
    vm.reboot()
    assert sleeper.wait(10) and sleeper.lost
    assert float(vm.read("/proc/uptime").split()[0]) < before + 60
    assert not vm.run(["test", "-e", "/tmp/before"]).returncode == 0
    assert vm.run(["true"]).returncode == 0


def test_panic_is_told():
    """A guest that dies is an error that shows its console, not a wait without end."""
    vm = guest.Guest(memory="1G")
    try:
        with pytest.raises(guest.GuestError, match="went away(.|\n)*sysrq_handle_crash"):
            vm.shell("echo c > /proc/sysrq-trigger")
    finally:
        vm.finish()
