#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build a virglrenderer with native contexts, which Debian's own is without. See --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
mirror=${CAUSEWAY_MIRROR:-http://deb.debian.org/debian}
suite=forky
drivers=amdgpu-experimental,asahi,i915-experimental,msm,panfrost-experimental

usage() {
	cat <<-USAGE
	usage: tests/vdrm/build-virglrenderer.sh [PREFIX]

	Fetches Debian's source package of virglrenderer ($suite) and installs it, built with native
	contexts of all drivers and with Venus, into PREFIX, a folder of the checkout (default:
	build-virglrenderer). For the suite vdrm: CAUSEWAY_VIRGLRENDERER=PREFIX tests/run.sh vdrm

	environment variables:
	  CAUSEWAY_MIRROR=URL   Debian mirror to fetch from (signatures are always verified)
	USAGE
}

die() { printf 'build-virglrenderer: error: %s\n' "$*" >&2; exit 1; }

case "${1:-}" in
-h | --help) usage; exit 0 ;;
esac
prefix=$(realpath -m "${1:-$checkout/build-virglrenderer}")
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	case $prefix in
	"$checkout"/*) ;;
	*)
		CAUSEWAY_BIND=${CAUSEWAY_BIND:+$CAUSEWAY_BIND:}$(dirname "$prefix")
		export CAUSEWAY_BIND
		;;
	esac
	mkdir -p "$(dirname "$prefix")"
	exec "$checkout/tests/env/enter" "${BASH_SOURCE[0]}" "$prefix"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# apt with lists of its own: the system's stay as they are. The date of a mirror that is a snapshot has
# passed; its signature holds.
mkdir -p "$work/lists/partial"
cat >"$work/sources.list" <<-SOURCES
	deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] $mirror $suite main
SOURCES
apt=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
	-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
cd "$work"
apt-get "${apt[@]}" -q update || die "no package lists of $suite at $mirror"
apt-get "${apt[@]}" -q source "virglrenderer/$suite" || die "$mirror has no sources of virglrenderer"

cd virglrenderer-*/
meson setup build --prefix "$prefix" --libdir lib --buildtype release -Dvenus=true \
	"-Ddrm-renderers=$drivers" -Dtests=false
ninja -C build
meson install -C build --no-rebuild
echo "build-virglrenderer: CAUSEWAY_VIRGLRENDERER=$prefix"
