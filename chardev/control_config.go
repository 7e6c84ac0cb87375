package chardev

import (
	"errors"
	"net/http"
	"os"
	"time"

	"chardevd/chardev/internal/access"
)

// How the set of chardevs, and the config, is changed over the API.

// changeTime is how long a change of the config may take to be answered: who is cut has up
// to finishTime, and the end of a journal is written.
const changeTime = 2 * closeGrace

// forSet serves a route that changes the config, to who may do what it needs on the chardev
// that the path or the request names; without one, on all of them, which only on = "*"
// is for.
func (c *control) forSet(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want, by := ChardevRequest{}, callerOf(r)
		if rt.about.takes.media != nil && !readBody(w, r, &want) {
			return
		}
		if name := r.PathValue("name"); name != "" {
			if want.Name != "" && want.Name != name {
				problem(w, http.StatusBadRequest, "a chardev cannot be given another name: remove it, and add it by that")
				return
			}
			want.Name = name
		}
		if d := c.server.gate.decide(by.who, want.Name); !d.May.Has(rt.needs) {
			d.Chardev = orAll(want.Name)
			err := &notPermitted{rt.needs, d}
			c.server.audit.didNot(by, r.Method+" "+r.URL.Path, err)
			problem(w, http.StatusForbidden, err.Error())
			return
		}
		// The server's deadline is for what is answered at once.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(changeTime)); err != nil {
			problem(w, http.StatusInternalServerError, "nothing was changed: "+err.Error())
			return
		}
		set := rt.set
		if rt.pass != nil {
			f, err := fileWith(r)
			if err != nil {
				problem(w, http.StatusBadRequest, err.Error())
				return
			}
			set = func(by caller, want ChardevRequest) (Changes, error) { return rt.pass(by, want, f) }
		}
		changes, err := set(by, want)
		if _, wrong := errors.AsType[*ConfigError](err); wrong {
			problem(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		if errors.Is(err, errNotNow) {
			problem(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		if err != nil {
			problem(w, http.StatusConflict, err.Error())
			return
		}
		if changes.Lines == nil {
			changes.Lines = []string{}
		}
		answer(w, changes)
	}
}

func orAll(chardev string) string {
	if chardev == "" {
		return "all chardevs"
	}
	return chardev
}

// setRoutes are those that change the config.
func (c *control) setRoutes() []route {
	const chardevs = "/api/v1/chardevs"
	s, takes, gives := c.server, jsonOf(ChardevRequest{}), jsonOf(Changes{})
	return []route{
		{pattern: "POST /api/v1/reload", needs: access.Admin, set: func(by caller, _ ChardevRequest) (Changes, error) { return s.reload(by) },
			about: about{does: "Read the config file again, and do what has changed there", gives: gives}},
		{pattern: "POST " + chardevs, needs: access.Admin, set: func(by caller, want ChardevRequest) (Changes, error) { return s.add(by, want) },
			about: about{does: "Add a chardev, and keep it in " + keptFolder, takes: takes, gives: gives}},
		{pattern: "POST " + chardevs + "/{name}/device", needs: access.Admin, pass: func(by caller, want ChardevRequest, f *os.File) (Changes, error) { return s.addDevice(by, want, f) },
			about: about{does: "Have the descriptor that comes with the request (SCM_RIGHTS) be the device of a chardev, which is made if it is not there", takes: takes, gives: gives}},
		{pattern: "POST " + chardevs + "/{name}/frontends", needs: access.Admin, pass: func(by caller, want ChardevRequest, f *os.File) (Changes, error) { return s.addFrontend(by, want, f) },
			about: about{does: "Have the descriptor that comes with the request (SCM_RIGHTS) be a frontend: a client, or a socket where clients come", takes: takes, gives: gives}},
		{pattern: "PUT " + chardevs + "/{name}", needs: access.Admin, set: func(by caller, want ChardevRequest) (Changes, error) { return s.replace(by, want) },
			about: about{does: "Replace a chardev that was added so", takes: takes, gives: gives}},
		{pattern: "DELETE " + chardevs + "/{name}", needs: access.Admin, set: func(by caller, want ChardevRequest) (Changes, error) { return s.remove(by, want.Name) },
			about: about{does: "Remove a chardev that was added so; its journal stays", gives: gives}},
	}
}
