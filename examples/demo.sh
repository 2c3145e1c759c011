#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Show a guest program's window through Causeway. See --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
default_app=(gtk4-demo)
size=1280x800
background=305070 # of the headless desktop, RRGGBB
deadline=60       # seconds for each thing that is waited for
settle=5          # seconds for a program that never stands still

usage() {
	cat <<-USAGE
	usage: examples/demo.sh [--vm | --no-vm | --container] [APP [ARGS...]]

	Builds Causeway, then runs APP (default: ${default_app[*]}) as a guest would: APP talks to
	causeway-guest, causeway-guest to causeway-host, and causeway-host to the desktop.

	  --vm      causeway-guest and APP run in a virtual machine, and reach causeway-host through
	            the virtio-gpu device that it is there: stock QEMU with Debian's kernel, whose root
	            is the build environment's (what APP writes there is gone at the end). With KVM
	            where that works; without, everything takes some times as long. The default where a
	            virtual machine can be booted
	  --no-vm   they run beside the desktop and reach causeway-host over a socket, as from a
	            container
	  --container
	            causeway-guest and APP run in a sandbox, and APP draws with the host's GPU:
	            examples/container.sh, which has a default APP of its own

	  in a Wayland session   APP's window opens on your desktop; the demo ends with APP
	  elsewhere              a headless weston shows the window, its screen is saved as
	                         ${checkout}/demo.png, and everything ends by itself

	APP comes from the build environment (tests/env/enter makes it on first use, about 3 minutes,
	3 GB); tests/env/packages.txt lists what it has, among it:
	  gtk4-demo, gtk4-widget-factory, featherpad, weston-flower, weston-terminal, foot (which
	  wants a keyboard, and the headless weston has none)
	Two at once: examples/demo.sh sh -c 'gtk4-demo & featherpad'

	CAUSEWAY_ENV=native takes the system's own compiler, libraries and programs instead.
	USAGE
}

say() { printf 'demo: %s\n' "$*"; }
die() { printf 'demo: error: %s\n' "$*" >&2; exit 1; }

# Where the user's own compositor listens; nothing if there is none.
desktop_socket() {
	case ${WAYLAND_DISPLAY:-} in
	"") ;;
	/*) printf '%s\n' "$WAYLAND_DISPLAY" ;;
	*)
		[ -n "${XDG_RUNTIME_DIR:-}" ] ||
			die "WAYLAND_DISPLAY is set but XDG_RUNTIME_DIR is not: where is your desktop's socket?"
		printf '%s\n' "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY"
		;;
	esac
}

vm=maybe
container=
mode=()
case "${1:-}" in
-h | --help) usage; exit 0 ;;
--vm | --no-vm | --container)
	mode=("$1")
	vm=yes
	[ "$1" = --vm ] || vm=
	[ "$1" != --container ] || container=yes
	shift
	;;
esac
case "${1:-}" in
-*) echo "demo: there is no option $1 (see --help)" >&2; exit 2 ;;
esac

desktop=$(desktop_socket)
[ -z "$desktop" ] || [ -S "$desktop" ] ||
	die "no compositor listens at $desktop: unset WAYLAND_DISPLAY for a demo without a desktop"
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	exec "$checkout/tests/env/enter" "$here/demo.sh" "${mode[@]}" "$@"
fi
[ $# -gt 0 ] || [ -n "$container" ] || set -- "${default_app[@]}"

# The programs' sockets and logs; gone at the end, like every process that was started.
work=$(mktemp -d)
chmod 700 "$work"
pids=()
where=

cleanup() {
	local status=$? pid i
	trap - EXIT INT TERM HUP
	# Last come, first gone: the program, the proxy, the host, the compositor.
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		pid=${pids[i]}
		kill "$pid" 2>/dev/null || continue
		for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# fail WHAT: with the logs, since they go away.
fail() {
	local log
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		printf -- '--- %s\n' "$(basename "$log" .log)" >&2
		tail -n 15 "$log" >&2
	done
	die "$1"
}

# start NAME CMD...: in the background, with a log; its process id is in pids.
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 </dev/null &
	pids+=($!)
}

running() { kill -0 "$1" 2>/dev/null; }

# wait_for WHAT PID CMD...: until CMD succeeds, while PID runs.
wait_for() {
	local what=$1 pid=$2 end=$((SECONDS + deadline)) status=0
	shift 2
	until "$@" >/dev/null 2>&1; do
		running "$pid" || { wait "$pid" || status=$?; fail "$what: it ended before that, with status $status"; }
		[ $SECONDS -lt $end ] || fail "$what: not within $deadline s"
		sleep 0.1
	done
}

build() {
	local tool
	for tool in meson ninja; do command -v $tool >/dev/null || die "$tool is missing"; done
	say "building in $checkout/build"
	cd "$checkout"
	[ -f build/build.ninja ] || meson setup build >"$work/setup.log" 2>&1 ||
		fail "the build could not be configured"
	local targets=(guest-proxy/causeway-guest host-renderer/causeway-host)
	local worker=host-renderer/worker/causeway-gpu-worker
	if grep -q "^build $worker:" build/build.ninja; then targets+=("$worker"); fi
	ninja -C build "${targets[@]}" >"$work/build.log" 2>&1 ||
		fail "the build failed"
	rm -f "$work/setup.log" "$work/build.log"
}

# An empty desktop whose socket's path is put into desktop.
start_weston() {
	local tool
	for tool in weston weston-screenshooter wayland-info; do
		command -v $tool >/dev/null || die "$tool is missing (packages weston, wayland-utils)"
	done
	python3 -c 'import PIL' 2>/dev/null || die "python3's PIL is missing (package python3-pil)"
	printf '%s\n' '[core]' 'idle-time=0' 'require-input=false' '[shell]' 'panel-position=none' \
		'locking=false' 'animation=none' 'startup-animation=none' 'close-animation=none' \
		"background-color=0xff$background" >"$work/weston.ini"
	# Only by OpenGL can it take what a GPU has drawn.
	local renderer=pixman
	[ -z "$container" ] || renderer=gl
	start weston weston --backend=headless --renderer=$renderer --shell=desktop --debug \
		--config="$work/weston.ini" --socket=desktop --width="${size%x*}" --height="${size#*x}"
	desktop=$work/desktop
	wait_for "waiting for weston's empty desktop" "${pids[-1]}" screen_shows empty
}

screenshot() {
	rm -f "$work/shots"/*
	(cd "$work/shots" && WAYLAND_DISPLAY="$desktop" timeout 20 weston-screenshooter) &&
		mv "$work/shots"/*.png "$work/screen.png"
}

# screen_shows empty|window
screen_shows() {
	screenshot && python3 - "$work/screen.png" "$background" "$1" <<-'PYTHON'
	import sys
	from PIL import Image
	path, background, wanted = sys.argv[1:]
	with Image.open(path) as image:
	    colors = image.convert("RGB").getcolors(1)
	empty = colors is not None and colors[0][1] == tuple(bytes.fromhex(background))
	still_black = colors is not None and not empty
	sys.exit(still_black or empty != (wanted == "empty"))
	PYTHON
}

# Until two pictures are the same, or for some seconds: an animation never stands still.
wait_still() {
	local end=$((SECONDS + settle))
	while [ $SECONDS -lt $end ]; do
		cp "$work/screen.png" "$work/before.png"
		sleep 0.2
		screenshot
		if cmp -s "$work/screen.png" "$work/before.png"; then return; fi
	done
}

# Drawn by the CPU, on Wayland, and alone: no program of the desktop answers in APP's place.
app_env=(GDK_BACKEND=wayland GSK_RENDERER=cairo QT_QPA_PLATFORM=wayland SDL_VIDEODRIVER=wayland
	LIBGL_ALWAYS_SOFTWARE=1 DBUS_SESSION_BUS_ADDRESS=disabled: NO_AT_BRIDGE=1)

# With a virtual machine, or without? The reason why not has been printed.
choose_vm() {
	[ -n "$vm" ] || return 0
	if "$checkout/tests/vm/run.py" --build build --check >/dev/null; then
		deadline=180 # a guest has to boot meanwhile, perhaps on an emulated processor
		return
	fi
	[ "$vm" = maybe ] || die "no virtual machine can be booted here"
	say "no virtual machine can be booted here: a demo without (--no-vm)"
	vm=
}

start_host() {
	local options=(--socket "$work/host.sock") socket=$work/host.sock
	[ -z "$vm" ] || options=(--vhost-user "$work/host.sock")
	[ -z "$container" ] || { options+=(--gpu venus); socket=$work/host.sock.vtest; }
	start host build/host-renderer/causeway-host "${options[@]}" --wayland-display "$desktop"
	wait_for "waiting for causeway-host" "${pids[-1]}" test -S "$socket"
}

guest_command() {
	local proxy=build/guest-proxy/causeway-guest
	if [ -n "$container" ]; then
		guest=("$here/container.sh" --socket "$work/host.sock" "$@")
		where="in a sandbox, "
		return
	fi
	guest=(env -u WAYLAND_DISPLAY "${app_env[@]}" "$proxy"
		--transport "socket:$work/host.sock" --socket "$work/guest" -- "$@")
	[ -n "$vm" ] || return 0
	guest=("$checkout/tests/vm/run.py" --build build --vhost-user "$work/host.sock" --
		env "${app_env[@]}" "$proxy" --transport virtgpu -- "$@")
	where="in a virtual machine, "
}

show_on_desktop() {
	[ -z "$vm" ] || say "booting a virtual machine"
	say "$app opens on your desktop ($desktop); the demo ends with it"
	"${guest[@]}" &
	pids+=($!)
	local status=0
	wait "${pids[-1]}" || status=$?
	[ $status = 0 ] || fail "$app ended with status $status"
	say "$app ended"
}

save_picture() {
	[ -z "$vm" ] || say "booting a virtual machine"
	start app "${guest[@]}"
	wait_for "waiting for a window of $app" "${pids[-1]}" screen_shows window
	wait_still
	cp "$work/screen.png" "$checkout/demo.png"
	say "$app ran ${where}through causeway-guest and causeway-host on a headless weston ($size)"
	say "the picture of its screen: $checkout/demo.png"
}

app=${1:-the program}
[ -z "${1:-}" ] || command -v "$1" >/dev/null || die "there is no program $1 ${CAUSEWAY_INSIDE:+in the build environment }(see --help)"
mkdir "$work/shots"
export XDG_RUNTIME_DIR=$work
build
choose_vm
own_desktop=$desktop
if [ -z "$own_desktop" ]; then
	say "no WAYLAND_DISPLAY: starting a headless weston"
	start_weston
fi
start_host
guest_command "$@"
if [ -n "$own_desktop" ]; then show_on_desktop; else save_picture; fi
