#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build a virglrenderer with native contexts, which Debian's own is without. See --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
mirror=${CAUSEWAY_MIRROR:-http://deb.debian.org/debian}
suite=forky

usage() {
	cat <<-USAGE
	usage: tests/vdrm/build-virglrenderer.sh [PREFIX [SOURCE]]

	Installs a virglrenderer with native contexts of all drivers that it has, and with Venus, into
	PREFIX (default: build-virglrenderer in the checkout). SOURCE: its unpacked source, 1.2 or newer;
	else Debian's source package ($suite) is fetched. For the suite vdrm:
	CAUSEWAY_VIRGLRENDERER=PREFIX tests/run.sh vdrm

	environment variables:
	  CAUSEWAY_MIRROR=URL   Debian mirror to fetch from (signatures are always verified)
	  and those of tests/env/enter --help
	USAGE
}

die() { printf 'build-virglrenderer: error: %s\n' "$*" >&2; exit 1; }

# Unpack the source package in the folder that is given. apt has lists of its own: the system's stay as
# they are. The date of a mirror that is a snapshot has passed; its signature holds.
fetch() {
	mkdir -p "$1/lists/partial"
	cat >"$1/sources.list" <<-SOURCES
		deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] $mirror $suite main
	SOURCES
	local apt=(-q -o "Dir::Etc::sourcelist=$1/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$1/lists"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
	(cd "$1" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" source "virglrenderer/$suite") >&2 ||
		die "the sources of virglrenderer can't be fetched from $mirror (not every mirror has sources): name another in CAUSEWAY_MIRROR, or give SOURCE"
	printf '%s\n' "$1"/virglrenderer-*/
}

# The choices of its option for native contexts, with commas.
drivers() {
	meson introspect --buildoptions "$1/meson.build" | python3 -c '
import json, sys
for option in json.load(sys.stdin):
    if option["name"] == "drm-renderers":
        print(",".join(name for name in option["choices"] if name != "all"))'
}

case "${1:-}" in
-h | --help) usage; exit 0 ;;
esac
prefix=$(realpath -m "${1:-$checkout/build-virglrenderer}")
source=${2:+$(realpath "$2")}
if [ -z "${CAUSEWAY_INSIDE:-}" ] && [ "${CAUSEWAY_ENV:-}" != native ]; then
	mkdir -p "$prefix"
	CAUSEWAY_BIND=${CAUSEWAY_BIND:+$CAUSEWAY_BIND:}$prefix${source:+:$source}
	export CAUSEWAY_BIND
	exec "$checkout/tests/env/enter" "${BASH_SOURCE[0]}" "$prefix" ${source:+"$source"}
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "$source" ] || source=$(fetch "$work")
drivers=$(drivers "$source")
case ,$drivers, in
*,asahi,*) ;;
*) die "$source has no native context for asahi (drm-renderers: ${drivers:-none}): it takes virglrenderer 1.2 or newer" ;;
esac
meson setup "$work/build" "$source" --prefix "$prefix" --libdir lib --buildtype release -Dvenus=true \
	"-Ddrm-renderers=$drivers"
ninja -C "$work/build"
meson install -C "$work/build" --no-rebuild
echo "build-virglrenderer: CAUSEWAY_VIRGLRENDERER=$prefix"
