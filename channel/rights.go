package channel

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// fileRights reads the mode=, owner= and group= options of what makes a node in
// the file system. The mode is 0600 if not given; an owner or group that is not
// given is -1, which chown(2) leaves alone.
func fileRights(a Address) (mode fs.FileMode, uid, gid int, err error) {
	mode, uid, gid = 0o600, -1, -1
	if v := a.Get("mode"); v != "" {
		n, err := strconv.ParseUint(v, 8, 32)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("mode=%s: not an octal mode", v)
		}
		mode = fs.FileMode(n)
	}
	if v := a.Get("owner"); v != "" {
		if uid, err = numberOr(v, func() (string, error) {
			u, err := user.Lookup(v)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return 0, 0, 0, fmt.Errorf("owner=%s: %w", v, err)
		}
	}
	if v := a.Get("group"); v != "" {
		if gid, err = numberOr(v, func() (string, error) {
			g, err := user.LookupGroup(v)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return 0, 0, 0, fmt.Errorf("group=%s: %w", v, err)
		}
	}
	return mode, uid, gid, nil
}

// numberOr is the number that v is, else the one that lookup finds.
func numberOr(v string, lookup func() (string, error)) (int, error) {
	if n, err := strconv.Atoi(v); err == nil {
		return n, nil
	}
	id, err := lookup()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(id)
}
