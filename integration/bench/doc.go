// Command bench measures chardevd side by side with the smallest C program that
// does its work (limit.c) and with the daemons that people use today: ser2net,
// conserver, socat, websockify and stunnel, as they come and at their best
// settings. It is the tool with which a change of the way of the bytes is judged.
//
//	go run ./integration/bench               all of it
//	go run ./integration/bench -quick        without the peers, in about 4 minutes
//	go run ./integration/bench -markdown FILE   the README's table, too
//	go run ./integration/bench -run 'bulk unix→tcp|stopped' -rounds 9
//	go run ./integration/bench -binary before=/tmp/chardevd   this tree beside another build
//	integration/bench/install.sh             the Debian packages that it needs
//
// The devices are played as QEMU plays them, the clients read as cheaply as
// they can; what both could do without a target between them is the line
// "(none)". Each round starts every target afresh, another one first. The CPU
// time is that of the target's process tree. Ratios are to the limit in the same
// run: on another machine, or beside other work, only they say anything.
//
// Every byte that a client gets is compared with what its device wrote. The exit
// code is 1 if chardevd or the limit delivered a wrong byte, lost one without
// telling, or could not be measured; a goal that is missed is marked "short" and
// does not change it. What a peer loses or fails at stands in its line.
//
// The files: pattern.go is the stream and who checks it; device.go, client.go
// and readers.go play the two sides, rig.go joins them with a target; limit.go,
// chardevd.go, peers.go and none.go are the targets; bulk.go, echo.go,
// isolate.go, idle.go, gone.go and bootlog.go measure, workloads.go lists what
// and with which goals; proc.go runs and weighs processes; report.go prints, and
// markdown.go in short. telnet.go is what clients know of telnet.
package main
