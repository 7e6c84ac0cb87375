// Package accounts keeps who may show a secret: tokens, and users with a password, in
// two files of the state folder, tokens.json and users.json.
//
// A Folder changes the files, for chardevd's commands: each change is a new file that
// is renamed over the old one, so that whoever is killed meanwhile leaves one or the
// other, and a lock on the folder lets one change at a time happen.
//
// A Store is the daemon's side. It reads the files and is told when to read them
// again; a file that is wrong leaves what it said before in force. It tells who showed
// a secret, and how soon somebody who shows wrong ones may try again (limit.go).
//
// Of a token the files have the SHA-256 (FIPS 180-4): it is random and long, and needs
// nothing that is slow. Of a password they have an Argon2id hash (RFC 9106) as a PHC
// string; one is computed at a time, in one thread, so that guessing costs no more than
// 19 MiB and one core, and least of all what the consoles do.
//
// Only who may write the state folder gives names and groups, so a group of an account
// and one of the host that are called the same are the same to access rules: both were
// given by somebody who may do everything here. Names of digits alone are no groups, as
// they would be the numbers of others.
package accounts
