# SPDX-License-Identifier: MIT
"""causeway-host -- QEMU ARGS...: arguments, processes and signals; with a script in QEMU's place, and
with QEMU."""
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import subprocess
import termios
import xml.etree.ElementTree as ElementTree

import pytest

import rig as lab

pytestmark = [pytest.mark.timeout(180),
              pytest.mark.skipif(lab.BRIDGE != "causeway", reason="about the programs themselves")]
FAKE = str(lab.HERE / "fake_qemu.py")
QEMU = "qemu-system-x86_64"
DEATH = r"the device's process was killed by signal 9 .*the guest's windows are gone; the virtual " \
        r"machine keeps running while its GPU driver does: shut it down before it reboots"
needs_qemu = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")


def host(rig, *args, env=None, **kwargs):
    return rig.start([lab.program("causeway-host"), *args], dict(rig.env, **(env or {})), **kwargs)


def launch(rig, *args, options=(), **kwargs):
    """causeway-host with the script in QEMU's place; also what the script was started with."""
    process = host(rig, *options, "--", FAKE, *args, **kwargs)
    return process, json.loads(process.expect(r"start (.*)")[1])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def device_of(process, start):
    """The device's process id."""
    others = [pid for pid in children(process.pid) if pid != start["pid"]]
    assert len(others) == 1, others
    return others[0]


def state(pid):
    """Letter of proc(5); None: gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_gone(*pids):
    for pid in pids:
        lab.wait_until(lambda pid=pid: state(pid) is None, f"process {pid} to be gone")


def end(process, status):
    process.may_fail = True
    assert process.wait() == status, process.errors


def added_line(process):
    return process.expect_error(r"added to QEMU's arguments: (.*)")[1]


# Arguments and fds

def test_arguments_fds_and_device(rig):
    """QEMU gets its arguments and what is added, one fd, and the user's own; the device serves it."""
    read_fd, write_fd = os.pipe()
    user = ["-M", "q35", "-m", "2G", "-name", "a b, it's"]
    process, start = launch(rig, *user, pass_fds=(read_fd,))
    added = shlex.split(added_line(process))
    assert start["argv"] == user + added
    assert added[:4] == ["-object", "memory-backend-memfd,id=causeway-mem,size=2048M,share=on",
                         "-machine", "memory-backend=causeway-mem"]
    number = re.search(r"fd=(\d+)$", added[5])[1]
    own = {"0", "1", "2", number, str(read_fd)}
    # Python's list of its own fds has one more for the folder that is read.
    assert {fd for fd, to in start["fds"].items() if not to.startswith("/proc/")} == own
    assert start["fds"][number].startswith("socket:")
    # Signals are as without causeway-host.
    plain = rig.start([FAKE, "-device", "x,fd=0"])
    alone = json.loads(plain.expect(r"start (.*)")[1])
    assert (start["blocked"], start["ignored"]) == (alone["blocked"], alone["ignored"])
    plain.send("exit 0")
    # None of the user's fds is held by the device.
    device = device_of(process, start)
    inherited = {os.stat(f"/proc/{start['pid']}/fd/{fd}").st_ino for fd in (0, 1, read_fd)}
    held = {os.stat(f"/proc/{device}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{device}/fd")}
    assert not inherited & held
    process.send("device")
    assert int(process.expect(r"features (\d+)")[1]) & (1 << 32 | 1 << 3), "VERSION_1, RESOURCE_BLOB"
    process.send("exit 0")
    end(process, 0)
    wait_gone(device, start["pid"])
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize("command, status", [("exit 0", 0), ("exit 7", 7), ("die 9", 128 + 9),
                                             ("die 15", 128 + 15)])
def test_exit_status(rig, command, status):
    process, start = launch(rig)
    device = device_of(process, start)
    process.send(command)
    end(process, status)
    wait_gone(device, start["pid"])
    assert not any("windows are gone" in line for line in process.errors)


def test_awkward_parents(rig):
    """Ended children ignored, or stdin closed: QEMU's status and its own fds are right all the same."""
    process, _ = launch(rig, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    process.send("exit 7")
    end(process, 7)
    process, start = launch(rig, preexec_fn=lambda: os.close(0))
    assert start["fds"]["0"] == "/dev/null"
    end(process, 0)


def test_quiet(rig):
    process, _ = launch(rig, options=["-q"])
    process.send("exit 0")
    end(process, 0)
    assert process.errors == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_qemu(rig, number):
    process, start = launch(rig)
    process.popen.send_signal(number)
    process.expect(f"signal {number:d}")
    # The end is QEMU's to choose.
    process.send("device")
    process.expect(r"features \d+")
    process.send("exit 3")
    end(process, 3)
    wait_gone(start["pid"])


def test_signals_to_all(rig):
    """What a service manager does: the device is there until QEMU has ended."""
    process, start = launch(rig)
    device = device_of(process, start)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(device, number)
    process.popen.terminate()
    process.expect("signal 15")
    process.send("device")
    process.expect(r"features \d+")
    process.send("exit 0")
    end(process, 0)
    wait_gone(device)


def test_counters(rig):
    process, _ = launch(rig)
    process.popen.send_signal(signal.SIGUSR1)
    process.expect_error("stats clients=0")
    process.send("exit 0")
    end(process, 0)


def test_device_dies(rig):
    """One line says so; the virtual machine goes on."""
    process, start = launch(rig)
    os.kill(device_of(process, start), signal.SIGKILL)
    process.expect_error(DEATH)
    assert children(process.pid) == [start["pid"]], "a zombie is left"
    process.send("echo still here")
    process.expect("still here")
    process.send("exit 5")
    end(process, 5)
    assert sum("device" in line for line in process.errors if "added" not in line) == 1


def test_supervisor_dies(rig):
    process, start = launch(rig)
    device = device_of(process, start)
    process.kill()
    process.expect("signal 15")
    process.popen.stdin.close()
    wait_gone(device, start["pid"])


def test_terminal(rig):
    """^C reaches QEMU once, ^Z and fg work as they would without causeway-host."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)

    def take_terminal():
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    # The parent of a process group must not be in another session, or ^Z would be ignored.
    script = ("import os, sys\n"
              "pid = os.fork()\n"
              "if pid == 0:\n"
              "    os.setpgid(0, 0)\n"
              "    os.execvp(sys.argv[1], sys.argv[1:])\n"
              "try:\n"
              "    os.setpgid(pid, pid)\n"
              "except PermissionError:\n"
              "    pass\n"
              "import signal\n"
              "signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
              "os.tcsetpgrp(0, pid)\n"
              "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n")
    shell = subprocess.Popen(
        ["python3", "-c", script, lab.program("causeway-host"), "--", FAKE], stdin=slave,
        stdout=slave, stderr=subprocess.DEVNULL, env=rig.env, preexec_fn=take_terminal)
    os.close(slave)
    seen = b""

    def read_until(wanted):
        nonlocal seen
        while wanted not in seen:
            seen += os.read(master, 65536)

    try:
        read_until(b"}\r\n")
        start = json.loads(re.search(rb"start (.*)\r\n", seen)[1])
        (supervisor,) = children(shell.pid)
        pids = [supervisor, *children(supervisor)]
        assert len(pids) == 3 and start["pid"] in pids
        assert {os.getpgid(pid) for pid in pids} == {start["pgrp"]}
        os.write(master, b"\x03")
        read_until(b"signal 2")
        os.write(master, b"\x1a")
        for pid in pids:
            lab.wait_until(lambda pid=pid: state(pid) == "T", f"process {pid} to stop")
        os.killpg(start["pgrp"], signal.SIGCONT)
        os.write(master, b"device\n")
        read_until(b"features")
        assert seen.count(b"signal") == 1
        os.write(master, b"exit 4\n")
        assert shell.wait(lab.DEADLINE) == 4
        wait_gone(*pids)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


# Refusals

@pytest.mark.parametrize("env, args, error", [
    ({"FAKE_QEMU_VERSION": "10.0.13"}, [],
     "is QEMU 10.0, which has no device for Causeway: QEMU 11.1 or later is needed"),
    ({"FAKE_QEMU_NO_DEVICE": "1"}, [], "built without vhost-user-test-device-pci"),
    ({}, ["-daemonize"], "-daemonize would leave causeway-host without the VM"),
    ({}, ["-m", "much"], "'much' is not a memory size"),
])
def test_refusals(rig, env, args, error):
    process = host(rig, "--", FAKE, *args, env=env)
    end(process, 1)
    assert len(process.errors) == 1 and error in process.errors[0], process.errors


def test_no_qemu(rig):
    for command, error in (("/bin/true", "is not QEMU"), ("no-such-qemu", "there is no program")):
        process = host(rig, "--", command)
        end(process, 1)
        assert len(process.errors) == 1 and error in process.errors[0], process.errors


def test_old_qemu_is_warned_of(rig):
    process, _ = launch(rig, env={"FAKE_QEMU_VERSION": "11.0.1"})
    process.expect_error("warning: .*QEMU 11.0 gives its guest no window")
    process.send("exit 0")
    end(process, 0)


def test_device_that_cannot_start(rig):
    """QEMU is not started then."""
    process = host(rig, "--socket", "/nonexistent/socket", "--", FAKE)
    end(process, 1)
    assert process.lines == []
    assert any("/nonexistent/socket" in line for line in process.errors)


def test_options(rig):
    for args, error in ((["--window-size", "3"], "power of two"),
                        (["--window-size", "16384"], "power of two"),
                        (["--window-size", "-1"], "power of two"),
                        (["--window-size", ""], "power of two"),
                        (["--vhost-user", "/tmp/x", "--", FAKE], "started apart"),
                        (["qemu"], "unexpected argument")):
        process = host(rig, *args)
        end(process, 2)
        assert error in process.errors[0], process.errors


def check(rig, *args, env=None, status=0):
    process = host(rig, "--check", *args, env=env)
    end(process, status)
    return process.lines


def test_check_names_what_is_missing(rig):
    """For a QEMU that was named; without one, nothing of QEMU is required."""
    env = {"WAYLAND_DISPLAY": rig.sway(size=(320, 240)).display}
    lines = check(rig, "--", FAKE, "-m", "1G", env=env)
    for line in (f"ok       {FAKE} 11.1 with vhost-user-test-device-pci",
                 "ok       the guest's window into the host's memory (QEMU 11.1)",
                 "ok       QEMU's arguments", "ok       memfd"):
        assert line in lines, lines
    assert sum("/dev/kvm" in line for line in lines) == 1
    assert not any("socket" in line for line in lines)
    for more, args, missing in (
            ({"FAKE_QEMU_VERSION": "10.0.13"}, [], "QEMU 11.1 or later is needed"),
            ({"FAKE_QEMU_NO_DEVICE": "1"}, [], "built without vhost-user-test-device-pci"),
            ({}, ["-m", "much"], "'much' is not a memory size")):
        lines = check(rig, "--", FAKE, *args, env=dict(env, **more), status=1)
        (line,) = [line for line in lines if line.startswith("missing")]
        assert missing in line
    lines = check(rig, "--", FAKE, env=dict(env, FAKE_QEMU_VERSION="11.0.1"))
    assert any(line.startswith("without  the guest's window") and "11.1" in line for line in lines)
    # An empty PATH: no QEMU.
    lines = check(rig, "--vhost-user", f"{rig.dir}/vm.sock", env=dict(env, PATH="/nonexistent"))
    assert any(line.startswith("without  QEMU") for line in lines), lines
    assert f"ok       socket {rig.dir}/vm.sock" in lines
    lines = check(rig, "--vhost-user", "/nonexistent/vm.sock", env=env, status=1)
    assert any(line.startswith("missing  socket /nonexistent") and "--vhost-user" in line
               for line in lines)


@needs_qemu
def test_check_with_qemu(rig):
    env = {"WAYLAND_DISPLAY": rig.sway(size=(320, 240)).display}
    lines = check(rig, env=env)
    assert any(re.fullmatch(rf"ok       {QEMU} \d+\.\d+ with vhost-user-test-device-pci", line)
               for line in lines), lines


# Arguments in print

def test_print_arguments(rig):
    process = host(rig, "--name", "dev", "--print-qemu-args", "--", FAKE, "-m", "1G")
    end(process, 0)
    path = f"{rig.dir}/causeway-dev-vm.sock"
    assert process.lines == [
        "-object", "memory-backend-memfd,id=causeway-mem,size=1024M,share=on",
        "-machine", "memory-backend=causeway-mem",
        "-chardev", f"socket,id=causeway,path={path}",
        "-device", '{"driver":"vhost-user-test-device-pci","chardev":"causeway","virtio-id":16,'
                   '"num_vqs":2,"vq_size":1024,"config_size":16}']
    assert f"--name dev --vhost-user {path}" in process.errors[0]


def fragment(root):
    """What Causeway needs of a domain."""
    space = "{http://libvirt.org/schemas/domain/qemu/1.0}"
    memory = root.find("memoryBacking")
    return ([(element.tag, element.attrib) for element in memory],
            [arg.get("value") for arg in root.find(f"{space}commandline").findall(f"{space}arg")])


def test_libvirt_example(rig):
    """The example has what is printed."""
    process = host(rig, "--name", "dev", "--print-libvirt-xml",
                   env={"XDG_RUNTIME_DIR": "/run/user/1000"})
    end(process, 0)
    printed = fragment(ElementTree.fromstring("\n".join(process.lines)))
    example = fragment(ElementTree.parse(lab.CHECKOUT / "examples/libvirt.xml").getroot())
    assert printed == example
    assert printed[0] == [("source", {"type": "memfd"}), ("access", {"mode": "shared"})]


def test_awkward_paths(rig):
    path = "/run/a,b'<&c"
    for option in ("--print-qemu-args", "--print-libvirt-xml"):
        process = host(rig, "--vhost-user", path, option)
        end(process, 0)
        if option == "--print-qemu-args":
            assert process.lines[5] == "socket,id=causeway,path=/run/a,,b'<&c"
        else:
            root = ElementTree.fromstring("\n".join(process.lines))
            assert fragment(root)[1][1] == "socket,id=causeway,path=/run/a,,b'<&c"


# With QEMU

class Qmp:
    """QEMU's monitor on the stdin and stdout that causeway-host hands on."""

    def __init__(self, process):
        self.process = process
        process.expect(r".*\"QMP\".*")
        self.ask("qmp_capabilities")

    def ask(self, command):
        answer = self.process.ask(json.dumps({"execute": command}), r"(\{\"(?:return|error)\".*)")
        return json.loads(answer[1])["return"]


@needs_qemu
@pytest.mark.parametrize("machine, user", [
    ("q35", ["-m", "256M"]),
    ("pc", ["-M", "smm=off", "-m", "256,slots=2,maxmem=1G"]),
    ("q35", []),
    ("q35", ["-machine", "memory.size=300M,memory-backend=", "-smp", "2"]),
    ("q35", ["-m", "100000k"]),
    # Addresses of the user's own: ours must not take one of them.
    ("q35", ["-device", '{"driver":"virtio-rng-pci","addr":"0x1"}', "-device",
             '{"driver":"virtio-rng-pci","addr":"0x2"}', "-device", "virtio-rng-pci,addr=3"]),
    ("q35", ["-m", "256M", "-object", "memory-backend-ram,id=own,size=256M,share=on", "-machine",
             "memory-backend=own"]),
    ("q35", ["-m", "256M", "-object", "memory-backend-memfd,id=own,size=256M", "-numa",
             "node,memdev=own"]),
    ("microvm", ["-m", "256M"]),
    ("microvm,pcie=on", ["-m", "256M"]),
])
def test_qemu_takes_the_arguments(rig, machine, user):
    """Paused: QEMU negotiates with the device as it starts, and its guest's memory is shared."""
    process = host(rig, "-v", "--", QEMU, "-S", "-display", "none", "-nodefaults", "-M", machine,
                   *user, "-qmp", "stdio")
    qmp = Qmp(process)
    assert all(memory["share"] for memory in qmp.ask("query-memdev"))
    if machine != "microvm":
        devices = [(device["id"]["vendor"], device["id"]["device"])
                   for bus in qmp.ask("query-pci") for device in bus["devices"]]
        assert (0x1af4, 0x1050) in devices, "no virtio-gpu"
    qmp.ask("quit")
    end(process, 0)
    assert not any("windows are gone" in line for line in process.errors)


@needs_qemu
def test_qemu_ends_on_sigterm(rig):
    process = host(rig, "--", QEMU, "-S", "-display", "none", "-nodefaults", "-qmp", "stdio")
    Qmp(process)
    process.popen.terminate()
    end(process, 0)


@needs_qemu
def test_qemu_without_its_device(rig):
    """QEMU 11.1.3 aborts at once while the guest has no driver, and only the supervisor says why."""
    process = host(rig, "--", QEMU, "-S", "-display", "none", "-nodefaults", "-qmp", "stdio")
    Qmp(process)
    (device,) = [pid for pid in children(process.pid)
                 if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("causeway")]
    os.kill(device, signal.SIGKILL)
    process.expect_error(DEATH)
    process.may_fail = True
    process.popen.terminate()
    assert process.wait() in (128 + signal.SIGABRT, 0), process.errors


@needs_qemu
def test_printed_arguments_work(rig):
    """As a user would do it: the device first, then QEMU with what was printed."""
    device = host(rig, "--vhost-user", f"{rig.dir}/vm.sock")
    device.expect_error("ready for the VMM")
    user = [QEMU, "-S", "-display", "none", "-nodefaults", "-m", "256M", "-qmp", "stdio"]
    printed = host(rig, "--vhost-user", f"{rig.dir}/vm.sock", "--print-qemu-args", "--", *user)
    end(printed, 0)
    for _ in range(2):
        qemu = rig.start([*user, *printed.lines])
        qmp = Qmp(qemu)
        assert all(memory["share"] for memory in qmp.ask("query-memdev"))
        qmp.ask("quit")
        assert qemu.wait() == 0
    device.stop()
    assert device.wait() == 0
    assert sum("a VMM has connected" in line for line in device.errors) == 2
    assert not os.path.exists(f"{rig.dir}/vm.sock")
