#!/bin/sh
# Installs the Debian packages that the benchmark needs and that are missing: a C
# compiler with OpenSSL for the limit program, and the daemons that people use
# today. As root, or with sudo.
set -eu

missing=
need() { # PACKAGE PROGRAM: the package is missing unless the program is there
	command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}
PATH=$PATH:/usr/sbin:/sbin

need gcc gcc
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
[ -e /usr/include/openssl/ssl.h ] || missing="$missing libssl-dev"
need ser2net ser2net
need conserver-server conserver
need socat socat
need websockify websockify
need stunnel4 stunnel4

[ -n "$missing" ] || exit 0

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
echo "install.sh: installing$missing"
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}
apt update
# shellcheck disable=SC2086 # a list of words
apt install -y --no-install-recommends $missing >/dev/null
