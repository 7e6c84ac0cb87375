package channel

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// parseMode reads the permission bits of a file, in octal.
func parseMode(v string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("want an octal mode like 0660, have %q", v)
	}
	return fs.FileMode(n), nil
}

// parseUser reads a user's number or name.
func parseUser(v string) (int, error) {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return int(n), nil
	}
	u, err := user.Lookup(v)
	if err != nil {
		return -1, fmt.Errorf("no user %q", v)
	}
	return strconv.Atoi(u.Uid)
}

// parseGroup reads a group's number or name.
func parseGroup(v string) (int, error) {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(v)
	if err != nil {
		return -1, fmt.Errorf("no group %q", v)
	}
	return strconv.Atoi(g.Gid)
}

func isMode(v string) error  { _, err := parseMode(v); return err }
func isUser(v string) error  { _, err := parseUser(v); return err }
func isGroup(v string) error { _, err := parseGroup(v); return err }

// fileOptions are those of what makes a node in the file system.
var fileOptions = []optionDef{
	{name: "mode", check: isMode},
	{name: "owner", check: isUser},
	{name: "group", check: isGroup},
}

// fileRights reads the fileOptions of an address. The mode is 0600 if not given; an owner or group that is not
// given is -1, which chown(2) leaves alone.
func fileRights(a Address) (mode fs.FileMode, uid, gid int, err error) {
	mode, uid, gid = 0o600, -1, -1
	if v := a.Get("mode"); v != "" {
		if mode, err = parseMode(v); err != nil {
			return 0, 0, 0, fmt.Errorf("option mode: %w", err)
		}
	}
	if v := a.Get("owner"); v != "" {
		if uid, err = parseUser(v); err != nil {
			return 0, 0, 0, fmt.Errorf("option owner: %w", err)
		}
	}
	if v := a.Get("group"); v != "" {
		if gid, err = parseGroup(v); err != nil {
			return 0, 0, 0, fmt.Errorf("option group: %w", err)
		}
	}
	return mode, uid, gid, nil
}
