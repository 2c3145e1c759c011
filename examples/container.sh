#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Run a GPU program in a sandbox that has no GPU and no compositor. See --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(dirname "$here")/build
icd=/usr/share/vulkan/icd.d/virtio_icd.json

usage() {
	cat <<-USAGE
	usage: examples/container.sh [APP [ARGS...]]
	       examples/container.sh --socket PATH [APP [ARGS...]]

	Runs APP in a sandbox (bubblewrap) in which there is no GPU node, no compositor's socket and no
	network: only Causeway's two sockets, for windows and for the GPU. OpenGL programs draw by Zink,
	Vulkan programs by Venus, both of Mesa, and the host's Vulkan driver does the work. APP is
	es2gears_wayland; or vkcube where the host's driver can't share images, and Vulkan programs copy
	their frames themselves (OpenGL programs need a driver that can).

	  --socket PATH   of a causeway-host --gpu venus that runs; its build is used
	  without         builds and starts all that is needed, as examples/demo.sh does: the window
	                  is on your desktop, or in demo.png
	USAGE
}

die() { printf 'container: error: %s\n' "$*" >&2; exit 1; }

socket=
case "${1:-}" in
-h | --help) usage; exit 0 ;;
--socket)
	[ $# -ge 2 ] || { echo "container: --socket needs a path (see --help)" >&2; exit 2; }
	socket=$2
	shift 2
	;;
-*) echo "container: there is no option $1 (see --help)" >&2; exit 2 ;;
esac
[ -n "$socket" ] || exec "$here/demo.sh" --container "$@"

command -v bwrap >/dev/null || die "bwrap is missing: install the package bubblewrap"
[ -e "$icd" ] || die "$icd is missing: install Mesa's Vulkan drivers (package mesa-vulkan-drivers)"
for path in "$socket" "$socket.vtest"; do
	[ -S "$path" ] || die "there is no socket $path: start causeway-host --gpu venus --socket $socket"
done

# What the host's driver is.
venus=$("$build/host-renderer/causeway-host" --check --gpu venus --socket "$socket" |
	sed -n 's/^ok *Venus: //p') || true
app=(es2gears_wayland)
env=(--setenv VN_DEBUG vtest --setenv VTEST_SOCKET_NAME /run/vtest --setenv VK_DRIVER_FILES "$icd"
	--setenv VK_LOADER_LAYERS_DISABLE '*' --setenv MESA_LOADER_DRIVER_OVERRIDE zink)
case $venus in
*llvmpipe*"can't share images"*)
	die "the host's Vulkan is its CPU's, which shares memory only by the kernel's udmabuf: as root, modprobe udmabuf, and let this user open /dev/udmabuf" ;;
# Zink takes a CPU for a GPU only if it is told so.
*llvmpipe*) env+=(--setenv LIBGL_ALWAYS_SOFTWARE 1) ;;
*"can't share images"*)
	echo "container: the host's Vulkan driver can't share images: Vulkan programs copy their frames" >&2
	env+=(--setenv MESA_VK_WSI_DEBUG sw)
	app=(vkcube --wsi wayland)
	;;
esac
[ $# -gt 0 ] || set -- "${app[@]}"

# /dev is bubblewrap's own: null, zero, random, a terminal, and no GPU.
exec bwrap --unshare-ipc --unshare-pid --unshare-net --unshare-uts --die-with-parent --new-session --clearenv \
	--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
	--ro-bind /etc /etc --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run --perms 0700 --dir /run/user \
	--ro-bind "$build/guest-proxy/causeway-guest" /run/causeway-guest \
	--bind "$socket" /run/causeway.sock --bind "$socket.vtest" /run/vtest \
	--setenv PATH /usr/local/bin:/usr/bin:/bin --setenv HOME /tmp --setenv XDG_RUNTIME_DIR /run/user \
	--setenv LANG C.UTF-8 "${env[@]}" \
	/run/causeway-guest --transport socket:/run/causeway.sock -- "$@"
