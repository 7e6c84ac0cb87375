package chardev

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"chardevd/chardev/internal/access"
)

// The description of the API for programs (OpenAPI 3.1), made of the table of routes.

const openAPIPath = "/openapi.json"

// An about is what the description says of a route.
type about struct {
	does   string // in a few words
	query  []parameter
	header []parameter
	takes  content // the request's body
	gives  content // the answer's
	status int     // of the answer; 0: 200, or 204 if it has no body
}

// A parameter is one of a request. All are optional.
type parameter struct {
	name string
	kind string // of JSON: string, integer, boolean
	does string
}

// A content is a body. The zero one is none.
type content struct {
	media []string
	like  any // JSON of this type; nil: text or bytes
}

func jsonOf(like any) content            { return content{[]string{"application/json"}, like} }
func contentOf(media ...string) content  { return content{media, nil} }
func flagOf(name, does string) parameter { return parameter{name, "boolean", does} }

// The parameters of the log, by the fields of LogQuery.
var logParameters = []parameter{
	{"since", "string", "where it begins: " + PlaceForms + "; without it at the oldest byte"},
	{"until", "string", "where it ends, in the same forms; without it behind the newest byte"},
	{"lines", "integer", "only so many of the last lines, or of those that match"},
	{"grep", "string", "only lines that match this regular expression (RE2)"},
	{"context", "integer", "so many lines before and behind each that matches"},
	{"format", "string", "text, raw, json or asciicast; of server-sent events raw, json or text"},
	{"size", "string", "of the recording's terminal, like 80x24"},
	{"epoch", "string", "the one whose offsets since and until are: 409 if it is not the present one"},
	flagOf("timestamps", "lines of text begin with the time at which they came"),
	flagOf("offsets", "and with their offset"),
	flagOf("names", "and with the console's name"),
	flagOf("events", "what happened stands among the lines"),
	flagOf("colour", "colours stay in text"),
	flagOf("follow", "go on with what comes"),
}

// The parameters of attach.
var attachParameters = []parameter{
	{"since", "string", "where it begins: " + PlaceForms + "; without it with what comes"},
	{"epoch", "string", "the one whose offset since is"},
	flagOf("read_only", "nothing is typed"),
	{"credit", "integer", "so many bytes are sent at first, and more when messages say so"},
	{"ticket", "string", "of POST /api/v1/ticket, for who can send no header"},
}

// describeAPI makes the description of routes.
func describeAPI(routes []route) *huma.OpenAPI {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "chardevd", Version: "1",
			Description: "Consoles: what they print, by offset, and who types. Errors are problems of RFC 9457. x-needs tells what a request needs by the access rules.",
		},
		Paths: map[string]*huma.PathItem{},
		Components: &huma.Components{Schemas: schemas, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token":    {Type: "http", Scheme: "bearer", Description: "of chardevd token add"},
			"password": {Type: "http", Scheme: "basic", Description: "of chardevd user add"},
			"session":  {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "of POST " + sessionPath},
		}},
		// or what the connection shows: a certificate, a process of this host, nothing
		Security: []map[string][]string{{"token": {}}, {"password": {}}, {"session": {}}, {}},
	}
	problems := describeContent(schemas, content{[]string{"application/problem+json"}, Problem{}})
	for _, rt := range routes {
		method, path, _ := strings.Cut(rt.pattern, " ")
		op := &huma.Operation{
			Method: method, Path: path, OperationID: operationID(method, path), Summary: rt.about.does,
			Responses: map[string]*huma.Response{"default": {Description: "why not", Content: problems}},
		}
		if rt.needs != access.None {
			op.Extensions = map[string]any{"x-needs": rt.needs.String()}
		}
		for _, name := range pathParameter.FindAllStringSubmatch(path, -1) {
			op.Parameters = append(op.Parameters, describeParameter("path", parameter{name[1], "string", ""}))
		}
		for _, p := range rt.about.query {
			op.Parameters = append(op.Parameters, describeParameter("query", p))
		}
		for _, p := range rt.about.header {
			op.Parameters = append(op.Parameters, describeParameter("header", p))
		}
		if rt.about.takes.media != nil {
			op.RequestBody = &huma.RequestBody{Content: describeContent(schemas, rt.about.takes)}
		}
		status := rt.about.status
		switch {
		case status != 0:
		case rt.about.gives.media == nil:
			status = http.StatusNoContent
		default:
			status = http.StatusOK
		}
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: describeContent(schemas, rt.about.gives)}
		doc.AddOperation(op)
	}
	for _, one := range []any{Summary{}, Gone{}, Message{}} { // of events and websockets
		schemas.Schema(reflect.TypeOf(one), true, "")
	}
	for _, s := range schemas.Map() {
		s.AdditionalProperties = openToMore(s)
	}
	return doc
}

// openToMore is what an object may have besides what is described: a later version
// tells more.
func openToMore(s *huma.Schema) any {
	if s.AdditionalProperties == false {
		return nil
	}
	return s.AdditionalProperties
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// operationID names an operation for generated code, like getChardevsNameLog.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for _, word := range regexp.MustCompile(`\w+`).FindAllString(strings.TrimPrefix(path, "/api/v1"), -1) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

func describeParameter(in string, p parameter) *huma.Param {
	return &huma.Param{Name: p.name, In: in, Required: in == "path", Description: p.does, Schema: &huma.Schema{Type: p.kind}}
}

func describeContent(schemas huma.Registry, c content) map[string]*huma.MediaType {
	all := map[string]*huma.MediaType{}
	for _, media := range c.media {
		schema := &huma.Schema{Type: "string"}
		if c.like != nil {
			schema = schemas.Schema(reflect.TypeOf(c.like), true, "")
		}
		all[media] = &huma.MediaType{Schema: schema}
	}
	return all
}

// logMedia are the media types that a log can have.
func logMedia() []string {
	media := []string{"text/event-stream"}
	for _, m := range contentTypes {
		media = append(media, m)
	}
	slices.Sort(media)
	return media
}

// openAPI answers with the description of all routes, which is made when it is asked
// for.
func (c *control) openAPI(w http.ResponseWriter, r *http.Request, _ caller) {
	doc := describeAPI(c.routes())
	if p, _ := r.Context().Value(peerKey{}).(peer); p.prefix != "" {
		doc.Servers = []*huma.Server{{URL: p.prefix}}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(text)
}
