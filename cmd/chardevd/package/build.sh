#!/bin/sh
# Builds the Debian package of this checkout, with nothing but Go and what is in
# every Debian: one static binary, its units, man pages and completion.
#
#	cmd/chardevd/package/build.sh DIST [VERSION]
#
# It is made in the folder DIST, and named on stdout. VERSION is that of Debian; the
# default is the tag of the commit, or 0.0.0+DATE.COMMIT. The same commit and Go give
# the same package. GOARCH= builds for another machine.
set -eu

case ${1-} in
-h | --help)
	echo "usage: $0 DIST [VERSION]"
	exit
	;;
"" | -*)
	echo "usage: $0 DIST [VERSION]" >&2
	exit 2
	;;
esac
mkdir -p "$1"
dist=$(cd "$1" && pwd)
cd "$(dirname "$0")/../../.."
from=cmd/chardevd/package

commit_time=$(git log -1 --format=%ct 2>/dev/null || date -r go.mod +%s)
if [ $# -ge 2 ]; then
	VERSION=$2
elif tag=$(git describe --tags --exact-match 2>/dev/null); then
	VERSION=${tag#v}
else
	VERSION=0.0.0+$(date -u -d "@$commit_time" +%Y%m%d)$(git log -1 --format=.%h 2>/dev/null || true)
fi
ARCH=$(go env GOARCH)
SOURCE_DATE_EPOCH=$commit_time
export VERSION ARCH SOURCE_DATE_EPOCH CGO_ENABLED=0

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
share=$root/usr/share
install_to() { # MODE FILE PATH: a file of the package
	install -D -m "$1" "$2" "$root$3"
}

build() { # FILE: the daemon
	go build -trimpath -ldflags "-s -w -X main.packaged=$VERSION" -o "$1" ./cmd/chardevd
}
build "$stage/chardevd"
install_to 755 "$stage/chardevd" /usr/bin/chardevd
here=$stage/chardevd # one that runs here
if [ "$(go env GOHOSTARCH)" != "$ARCH" ]; then
	here=$stage/here
	GOARCH=$(go env GOHOSTARCH) build "$here"
fi

for unit in chardevd.service chardevd-lab.service; do
	install_to 644 "$from/$unit" "/lib/systemd/system/$unit"
done
install_to 644 "$from/chardevd.sysusers" /usr/lib/sysusers.d/chardevd.conf
install_to 644 "$from/chardevd.tmpfiles" /usr/lib/tmpfiles.d/chardevd.conf

mkdir -p "$share/man/man1" "$share/man/man5"
"$here" manual "$share/man/man1"
{
	echo '# chardev.toml 5 "" chardevd'
	printf '\n# NAME\n\nchardev.toml - the config file of chardevd\n\n'
	awk -f "$from/config-page.awk" README.md chardev/REFERENCE.md
} >"$stage/chardev.toml.md"
env -u GOARCH go run github.com/cpuguy83/go-md2man/v2@v2.0.7 -in "$stage/chardev.toml.md" -out "$share/man/man5/chardev.toml.5"
gzip -9n "$share"/man/man?/*

for shell in bash zsh fish; do
	"$here" completion "$shell" >"$stage/$shell"
done
install_to 644 "$stage/bash" /usr/share/bash-completion/completions/chardevd
install_to 644 "$stage/zsh" /usr/share/zsh/vendor-completions/_chardevd
install_to 644 "$stage/fish" /usr/share/fish/vendor_completions.d/chardevd.fish

doc=/usr/share/doc/chardevd
install_to 644 "$from/copyright" $doc/copyright
for text in README.md chardev/REFERENCE.md chardev/METRICS.md channel/QEMU.md; do
	install_to 644 "$text" "$doc/${text##*/}"
done
install_to 644 chardev.toml $doc/examples/chardev.toml
install_to 644 "$from/lintian-overrides" /usr/share/lintian/overrides/chardevd
[ ! -e "$from/grafana.json" ] || install_to 644 "$from/grafana.json" $doc/grafana.json
gzip -9n "$root$doc"/*.md

mkdir "$stage/scripts"
cp "$from/postinst" "$from/prerm" "$from/postrm" "$stage/scripts/"
cp "$from/chardev.toml" "$from/nfpm.yaml" "$stage/"
find "$root" -type d -exec chmod 755 {} +
find "$stage" -exec touch -h -d "@$commit_time" {} +
package=$dist/chardevd_${VERSION}_$ARCH.deb
(cd "$stage" && env -u GOARCH go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0 package --packager deb --target "$package" >&2)
echo "$package"
