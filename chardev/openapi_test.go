package chardev

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// The description has every route, and nothing else; what it refers to is there.
func TestOpenAPI(t *testing.T) {
	c := &control{server: serverOf(), ctx: t.Context()}
	_, end := channel.Pipe(1)
	r := httptest.NewRequest("GET", openAPIPath, nil)
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, r.WithContext(withPeer(r.Context(), end)))
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Needs       string `json:"x-needs"`
			Parameters  []struct {
				Name, In string
				Required bool
				Schema   struct{ Type string }
			}
			RequestBody *struct{ Content map[string]any }
			Responses   map[string]struct {
				Description string
				Content     map[string]any
			}
		}
		Components struct {
			Schemas         map[string]map[string]any
			SecuritySchemes map[string]any
		}
		Security []map[string][]string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("it is %s %+v", doc.OpenAPI, doc.Info)
	}
	ids := map[string]bool{}
	for _, rt := range c.routes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		op, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is not described", rt.pattern)
			continue
		}
		delete(doc.Paths[path], strings.ToLower(method))
		if op.Summary == "" || op.OperationID == "" || ids[op.OperationID] || (op.Needs == "") != (rt.needs == access.None) {
			t.Errorf("%s is described as %+v", rt.pattern, op)
		}
		ids[op.OperationID] = true
		var inPath []string
		seen := map[string]bool{}
		for _, p := range op.Parameters {
			if seen[p.In+p.Name] || !slices.Contains([]string{"path", "query", "header"}, p.In) || p.Required != (p.In == "path") || p.Schema.Type == "" {
				t.Errorf("%s: parameter %+v", rt.pattern, p)
			}
			seen[p.In+p.Name] = true
			if p.In == "path" {
				inPath = append(inPath, "{"+p.Name+"}")
			}
		}
		if want := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
			t.Errorf("%s: the path has %v, and %v are described", rt.pattern, want, inPath)
		}
		if op.RequestBody != nil && (method == "GET" || len(op.RequestBody.Content) == 0) {
			t.Errorf("%s: its body is %v", rt.pattern, op.RequestBody)
		}
		if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok || len(op.Responses) != 2 {
			t.Errorf("%s: the answers are %v", rt.pattern, op.Responses)
		}
		for status, a := range op.Responses {
			if a.Description == "" || (status == "204") == (len(a.Content) > 0) && status != "101" && status != "202" {
				t.Errorf("%s: the answer %s is %v", rt.pattern, status, a)
			}
		}
	}
	for path, left := range doc.Paths {
		if len(left) > 0 {
			t.Errorf("%s has what is no route: %v", path, left)
		}
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		name, ok := strings.CutPrefix(ref[1], "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("%s is not there", ref[1])
		}
	}
	for name, s := range doc.Components.Schemas {
		if s["type"] != "object" || s["additionalProperties"] == false {
			t.Errorf("schema %s is %v", name, s)
		}
	}
	for _, one := range doc.Security {
		for name := range one {
			if doc.Components.SecuritySchemes[name] == nil {
				t.Errorf("%s is not told", name)
			}
		}
	}
}

// The parameters that are described are those that are taken.
func TestLogParametersAreDescribed(t *testing.T) {
	all := LogQuery{Since: "1", Until: "2", Lines: 3, Grep: "x", Context: 2, Format: "json", Size: "1x2", Epoch: "e", Timestamps: true, Offsets: true, Names: true, Events: true, Colour: true, Follow: true}.Values()
	var described []string
	for _, p := range logParameters {
		described = append(described, p.name)
	}
	slices.Sort(described)
	if taken := slices.Sorted(maps.Keys(all)); !slices.Equal(taken, described) {
		t.Errorf("taken are %v, described %v", taken, described)
	}
}
