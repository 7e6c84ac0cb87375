package chardev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/journal"
)

// Journals are read from their files here, without a daemon.

// Journals are the names of the chardevs of which a state folder has a journal.
func Journals(state string) ([]string, error) {
	entries, err := os.ReadDir(state)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	var names []string
	for _, e := range entries {
		// An index stands beside each segment. No chardev's name has a character that
		// means something to Glob; the state folder's may.
		if found, _ := fs.Glob(os.DirFS(state), e.Name()+"/"+e.Name()+"*.idx"); len(found) > 0 {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ViewJournal writes what is asked for of a chardev's journal in a state folder on w,
// as GET …/log would. The result tells what it was, also with an error.
func ViewJournal(ctx context.Context, state, name string, query LogQuery, w io.Writer) (LogResult, error) {
	q, err := parseLog(query.Values())
	if err != nil {
		return LogResult{}, err
	}
	if q.Follow {
		return LogResult{}, errors.New("nothing comes while no daemon runs: start one with \"chardevd serve\", or leave out follow")
	}
	names, err := Journals(state)
	if err != nil {
		return LogResult{}, err
	}
	if !slices.Contains(names, name) {
		if near := channel.Nearest(name, names); near != "" {
			return LogResult{}, fmt.Errorf("no journal %q in %s; did you mean %q?", name, state, near)
		}
		return LogResult{}, fmt.Errorf("no journal %q in %s; there is %s", name, state, cmp.Or(strings.Join(names, ", "), "none"))
	}
	j, err := journal.View(filepath.Join(state, name), name)
	if err != nil {
		return LogResult{}, err
	}
	defer j.Close(j.End())
	if q.epoch != "" && q.epoch != j.Epoch() {
		return LogResult{}, wrongEpoch(name, j.Epoch(), q.epoch)
	}
	src := viewed{j, j.Reader()}
	defer src.Close()
	q.Name = name
	from, to, err := q.Range(ctx, src, time.Now())
	if err != nil {
		return LogResult{}, err
	}
	result, err := q.Write(ctx, src, from, to, w)
	return LogResult(result), err
}

// A viewed is a journal as a transcript.Source.
type viewed struct {
	j *journal.Journal
	r *journal.Reader
}

func (v viewed) Oldest() int64                                       { return v.j.Oldest() }
func (v viewed) Head() int64                                         { return v.j.End() }
func (v viewed) Holes() journal.Holes                                { return v.j.Holes() }
func (v viewed) Find(t time.Time) int64                              { return v.j.Find(t) }
func (v viewed) Read(at int64, buf []byte) (int, int64, error)       { return v.r.Read(at, buf) }
func (v viewed) Time(at int64) (time.Time, int64)                    { return v.r.Time(at) }
func (v viewed) Events(a, b int64, f func(journal.Event) bool) error { return v.j.Events(a, b, f) }
func (v viewed) Close()                                              { v.r.Close() }
