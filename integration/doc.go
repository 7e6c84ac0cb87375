// Package integration tests the built daemon from outside, against programs
// that nobody here wrote: QEMU with a guest of one boot sector (guest/guest.S)
// behind the console, or with Debian's kernel and its serial drivers and the daemon
// inside (linux_test.go), and socat, openssl s_client, picocom, ncat and Python's
// websockets in front of it, and testssl.sh; tail, zstdcat and asciinema read its
// journal.
//
//	integration/run.sh          everything, in minutes: what the README calls the tests
//	integration/run.sh long     the soaks: full repetitions, rates asserted, fuzzing
//	integration/install.sh      the Debian packages that the tests need
//
// A test never skips: where a program is missing it fails and names the package.
// What a test starts it ends, by process id; it listens on loopback only, or in
// a network namespace of its own. CHARDEVD_LONG=1 asks for the long form.
//
// The files: rig_test.go builds and finds what is needed, prog_test.go runs
// programs and talks to them, guest_test.go is QEMU, daemon_test.go is chardevd,
// wire_test.go has clients by hand for what no program would do, printer_test.go a
// guest by hand, attached_test.go a client that knows its offsets. Checker (the
// only thing that is not a test) follows the counter guest's output.
package integration
