# SPDX-License-Identifier: MIT
"""Boot a virtual machine whose root is the root of the caller, under stock QEMU.

The guest sees / (with everything mounted below it) over 9p, read only, with a tmpfs on top: what it
writes is its own and gone with it. Its first process is agent.py. QEMU's command line and the initramfs
are made here only; guest.py drives the machine, run.py runs one program in it.
"""
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
QEMU = "qemu-system-x86_64"
# What has to be there before the real root is; the rest comes from it, by modprobe.
MODULES = ["9pnet_virtio", "9p", "overlay"]
AGENT_PORT = "causeway.agent"
KVM_DEADLINE = 15  # seconds for a kernel to reach user space under KVM


class Missing(Exception):
    """Something that a virtual machine needs is not here; says what, and how to get it."""


def kernel():
    """(image, version) of the newest kernel that has its modules here."""
    found = []
    for image in pathlib.Path("/boot").glob("vmlinuz-*"):
        version = image.name.removeprefix("vmlinuz-")
        if (pathlib.Path("/lib/modules") / version / "modules.dep").exists():
            found.append(([int(n) for n in re.findall(r"\d+", version)], image, version))
    if not found:
        raise Missing("no kernel in /boot with its modules in /lib/modules: install the package "
                      "linux-image-amd64")
    _, image, version = max(found)
    if not os.access(image, os.R_OK):
        raise Missing(f"{image} may not be read: chmod +r {image}")
    return image, version


def requirements():
    """Raises Missing if a machine can't be booted here."""
    for program, package in ((QEMU, "qemu-system-x86"), ("busybox", "busybox-static"),
                             ("cpio", "cpio"), ("modprobe", "kmod"),
                             ("setpriv", "util-linux")):
        if not shutil.which(program):
            raise Missing(f"{program} is missing: install the package {package}")
    kernel()


def cache_folder(build=None):
    """Where what is made once is kept: in the build folder."""
    base = build or os.environ.get("CAUSEWAY_BUILD") or CHECKOUT / "build"
    folder = pathlib.Path(base).resolve() / "vm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def module_files(version):
    """The modules' files in the order in which they have to be loaded."""
    files = []
    for name in MODULES:
        done = subprocess.run(["modprobe", "-S", version, "--show-depends", name], text=True,
                              capture_output=True, check=False)
        if done.returncode:
            raise Missing(f"kernel {version} has no module {name}: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            word, *path = line.split()
            if word == "insmod" and path[0] not in files:
                files.append(path[0])
    return files


def initramfs(build=None):
    """Path of the initramfs; made if it isn't there for these very files."""
    image, version = kernel()
    files = module_files(version)
    busybox = shutil.which("busybox")
    key = hashlib.sha256()
    for path in (image, busybox, HERE / "init", *files):
        stat = os.stat(path)
        key.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    made = cache_folder(build) / f"initramfs-{key.hexdigest()[:16]}.cpio"
    if made.exists():
        return made
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name)
        for folder in ("bin", "dev", "proc", "sys", "lower", "rw", "root", "modules"):
            (tree / folder).mkdir()
        shutil.copy(busybox, tree / "bin" / "busybox")
        shutil.copy(HERE / "init", tree / "init")
        (tree / "init").chmod(0o755)
        for number, path in enumerate(files):
            data = pathlib.Path(path).read_bytes()
            if path.endswith(".xz"):
                data = lzma.decompress(data)
            base = pathlib.Path(path).name.split(".")[0]
            (tree / "modules" / f"{number:02}-{base}.ko").write_bytes(data)
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        done = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree,
                              input=names.encode(), capture_output=True, check=True)
    partial = made.with_suffix(f".{os.getpid()}")
    partial.write_bytes(done.stdout)
    partial.rename(made)
    return made


def _says(argv, good, bad):
    """Whether a program says the good thing before its end, the bad thing, and the deadline."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        timer = threading.Timer(KVM_DEADLINE, process.kill)
        timer.start()
        found = False
        for line in process.stdout:
            found = good in line
            if found or bad in line:
                break
        timer.cancel()
        process.kill()
    return found


def kvm_works(build=None):
    """Whether a kernel reaches user space under KVM; asked once for each boot of this machine.

    That /dev/kvm can be opened is no answer: nested or emulated, it may fail at some instruction.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache_folder(build) / f"kvm-{boot_id}"
    if not answer.exists():
        image, _ = kernel()
        argv = [QEMU, "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config",
                "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(image),
                "-initrd", str(initramfs(build)), "-append", "console=ttyS0 quiet panic=-1 cw.probe"]
        works = _says(argv, b"causeway: user space", b"KVM internal error")
        answer.write_text("yes" if works else "no")
    return answer.read_text() == "yes"


def accelerator(build=None):
    """The arguments for it: KVM where it works, else QEMU's own translation."""
    if kvm_works(build):
        return ["-accel", "kvm", "-cpu", "host"]
    # Translated, rep movsb goes byte by byte: kernels that believe it to be fast copy five times slower.
    return ["-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm"]


def gpu_arguments(socket):
    """The virtio-gpu device that causeway-host --vhost-user serves at a socket."""
    return ["-chardev", f"socket,id=causeway,path={socket}",
            "-device", "vhost-user-test-device-pci,chardev=causeway,virtio-id=16,num_vqs=2,"
                       "vq_size=1024,config_size=16"]


def arguments(folder, devices=(), memory="2G", cpus=2, reboots=False, shared=True, build=None):
    """QEMU's command line. folder: gets the sockets of the agent (agent.sock) and of QEMU's monitor
    (qmp.sock), and the console's text (console.log). devices: arguments for further ones. shared:
    whether the memory is one that a device's process can map."""
    image, _ = kernel()
    append = ["console=ttyS0", "panic=-1", "random.trust_cpu=on", "mitigations=off",
              f"cw.agent={HERE / 'agent.py'}"]
    # Translated, kernels now and then stop for good as they switch to the HPET's clock.
    machine = ["-machine", "q35,hpet=off"]
    if shared:
        machine = ["-object", f"memory-backend-memfd,id=causeway-mem,size={memory},share=on",
                   "-machine", "q35,hpet=off,memory-backend=causeway-mem"]
    return [
        QEMU, *accelerator(build), "-smp", str(cpus), "-m", memory, *machine,
        "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none",
        *([] if reboots else ["-no-reboot"]),
        "-kernel", str(image), "-initrd", str(initramfs(build)), "-append", " ".join(append),
        "-serial", f"file:{folder}/console.log",
        "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off",
        "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,path={folder}/agent.sock,server=on,wait=off",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
        *devices,
    ]
