#!/bin/sh
# Installs the Debian packages that the tests need and that are missing: as root,
# or with sudo. Says nothing and does nothing where all are there.
set -eu

missing=
need() { # PACKAGE PROGRAM: the package is missing unless the program is there
	command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}
PATH=$PATH:/usr/sbin:/sbin

need qemu-system-x86 qemu-system-x86_64 # the guest's machine
need qemu-utils qemu-nbd                # what a [[stream]] carries
need qemu-utils qemu-img
need websockify websockify              # what a [[stream]] is measured against
[ -e /usr/share/novnc/core/rfb.js ] || missing="$missing novnc"
need binutils as                        # assembles the guest
need binutils ld
need socat socat                        # clients
need strace strace                      # the system calls of a chunk
need openssl openssl
need testssl.sh testssl                 # what a TLS listener offers
need picocom picocom
need ncat ncat
need nftables nft                       # the dead peer
need iproute2 ip
need util-linux unshare
need util-linux nsenter
need ser2net ser2net                    # telnet and serial ports
need inetutils-telnet telnet
need ckermit kermit
need busybox-static busybox             # the guest with Debian's kernel
need xz-utils xz
need zstd zstdcat                       # the journal
need asciinema asciinema
need curl curl                          # the API
need nginx-light nginx                  # before [http]
need chromium chromium                  # the pages
need nodejs node                        # builds them
need npm npm
need systemd systemd-analyze            # the units
need debootstrap debootstrap            # where the package is installed, in the long run
need man-db man                         # the pages of the package
need gcc gcc                            # go test -race links with it
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
/usr/bin/python3 -c 'import serial' 2>/dev/null || missing="$missing python3 python3-serial"
/usr/bin/python3 -c 'import websockets' 2>/dev/null || missing="$missing python3 python3-websockets"

# The kernel of the Linux guest is fetched, not installed; and so is promtool, whose
# package would bring a server and start it.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/chardevd
kernel=$cache/linux-image.deb
promtool=$cache/promtool

[ -n "$missing" ] || [ ! -e "$kernel" ] || [ ! -e "$promtool" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "install.sh: run as root or install sudo; missing:$missing" >&2
		exit 1
	}
	sudo="sudo"
fi
command -v apt-get >/dev/null 2>&1 || {
	echo "install.sh: no apt-get here; install what these Debian packages hold:$missing" >&2
	exit 1
}
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}
apt update
if [ -n "$missing" ]; then
	echo "install.sh: installing$missing"
	# shellcheck disable=SC2086 # a list of words
	apt install -y --no-install-recommends $missing >/dev/null
fi
fetch=$(mktemp -d)
trap 'rm -rf "$fetch"' EXIT
mkdir -p "$cache"
if [ ! -e "$promtool" ]; then
	echo "install.sh: fetching promtool"
	(cd "$fetch" && apt-get -qq download prometheus)
	dpkg-deb --fsys-tarfile "$fetch"/prometheus_*.deb | tar -x -O ./usr/bin/promtool >"$fetch/promtool"
	chmod 755 "$fetch/promtool"
	mv "$fetch/promtool" "$promtool"
fi
if [ ! -e "$kernel" ]; then
	package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	echo "install.sh: fetching $package"
	(cd "$fetch" && apt-get -qq download "$package")
	mv "$fetch/$package"_*.deb "$kernel"
fi
