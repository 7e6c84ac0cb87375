#!/bin/sh
# The tests, from installing what they need to the race detector.
#
#	integration/run.sh        all checks and tests: minutes on two cores
#	integration/run.sh long   the soaks: every repetition, rates asserted, each
#	                          fuzz target 5 minutes (FUZZTIME=5m)
#
# Further arguments go to go test.
set -eu
cd "$(dirname "$0")/.."

long=
case "${1-}" in
long) long=1; shift ;;
esac

step() { echo "== $*"; }

step "what the tests need"
integration/install.sh

step gofmt
bad=$(find . -name '*.go' -not -path './vendor/*' -exec gofmt -l {} +)
[ -z "$bad" ] || {
	echo "not formatted (gofmt -w them):" "$bad" >&2
	exit 1
}

# What the binary embeds is what is built of the sources here.
step "the pages"
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
(
	cd chardev/web
	npm ci --silent
	npm run --silent check
	npm run --silent build -- "$pages/dist"
)
diff -rq chardev/web/dist "$pages/dist" || {
	echo "chardev/web/dist is not what its sources build: npm run build there, and commit it" >&2
	exit 1
}
rm -rf "$pages"
trap - EXIT

# The race detector needs cgo; the daemon itself does without. The version stamp
# is left out: a checkout may belong to another user than the one who tests.
export GOFLAGS="${GOFLAGS-} -buildvcs=false"
step "build (CGO_ENABLED=0)"
CGO_ENABLED=0 go build ./...
export CGO_ENABLED=1
step "go vet"
go vet ./...
step staticcheck
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

step "build of the tests"
go test -race -c -o /dev/null ./...

step "what allocates nothing (the race detector would)"
go test -count=1 -run AllocateNothing ./channel ./chardev ./chardev/internal/history

# Where real programs are held to a deadline one package runs at a time: two cores shared
# by all of them would measure each other. The others do not mind.
alone='^chardevd/(chardev|cmd/chardevd|integration)$'
if [ -z "$long" ]; then
	step "go test -race"
	failed=
	go test -race -count=1 -p 2 -timeout 20m "$@" $(go list ./... | grep -Ev "$alone") || failed=1
	go test -race -count=1 -p 1 -timeout 20m "$@" $(go list ./... | grep -E "$alone") || failed=1
	exit ${failed:-0}
fi

export CHARDEVD_LONG=1
step "go test -race, long"
go test -race -count=1 -p 1 -timeout 60m "$@" ./...
step "integration without the race detector: the rates count"
go test -count=1 -timeout 60m "$@" ./integration
for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		step "fuzz $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME-5m}" "$pkg"
	done
done
