// Package audit writes down who did what: one JSON object a line, in a file that is
// only ever appended to.
//
// Note takes a record and never waits, whatever the disk does. One goroutine writes,
// while there is something to write. Up to queueMost records wait for it; how many
// did not fit is counted, told to the log, and written where they are missing.
//
// Of what happens very often the first few are written one by one, and the rest of
// foldTime is summed up: one line with their number, their bytes and their time. A sum
// is about one person, source, chardev and frontend, so that still nobody did anything
// without a line that says so. Only refused strangers from very many addresses at once
// are summed up together.
//
// A file that was renamed or removed is noticed at the next write (its inode is not the
// one at the path any more), and a new one is begun: nobody need tell the daemon. What
// was written is the kernel's at once, and on the disk when the kernel takes it there,
// or when the log is closed.
package audit
