package server

import (
	"encoding/json"
	"net/http"
	"strings"
)

// objectRoutes are the paths of stored objects: Argo's for its kinds, and of the same form
// for config maps and secrets, which Argo leaves to Kubernetes.
func (h *HTTP) objectRoutes() map[string]func(*http.Request) (any, error) {
	routes := map[string]func(*http.Request) (any, error){}
	for _, k := range objectKinds() {
		at := "/api/v1/" + k.Plural + "/{namespace}"
		all := at
		if k.cluster {
			at = "/api/v1/" + k.Plural
			all = at
		} else {
			routes["GET /api/v1/"+k.Plural+"/{$}"] = h.listObjects(k)
		}
		routes["GET "+all] = h.listObjects(k)
		routes["POST "+at] = h.createObject(k)
		routes["POST "+at+"/lint"] = func(r *http.Request) (any, error) {
			doc, _, err := readObjectRequest(r, k)
			if err != nil {
				return nil, err
			}
			return h.Service.LintObject(r.Context(), k, r.PathValue("namespace"), doc)
		}
		routes["GET "+at+"/{name}"] = func(r *http.Request) (any, error) {
			return h.Service.GetObject(r.Context(), k, r.PathValue("namespace"), r.PathValue("name"))
		}
		routes["PUT "+at+"/{name}"] = func(r *http.Request) (any, error) {
			doc, _, err := readObjectRequest(r, k)
			if err != nil {
				return nil, err
			}
			return h.Service.UpdateObject(r.Context(), k, r.PathValue("namespace"), r.PathValue("name"), doc)
		}
		routes["DELETE "+at+"/{name}"] = func(r *http.Request) (any, error) {
			return struct{}{}, h.Service.DeleteObject(r.Context(), k, r.PathValue("namespace"), r.PathValue("name"))
		}
	}
	for verb, suspend := range map[string]bool{"suspend": true, "resume": false} {
		routes["PUT /api/v1/cron-workflows/{namespace}/{name}/"+verb] = func(r *http.Request) (any, error) {
			return h.Service.SuspendCron(r.Context(), r.PathValue("namespace"), r.PathValue("name"), suspend)
		}
	}
	return routes
}

func (h *HTTP) createObject(k ObjectKind) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		doc, dryRun, err := readObjectRequest(r, k)
		if err != nil {
			return nil, err
		}
		return h.Service.CreateObject(r.Context(), k, r.PathValue("namespace"), doc, dryRun)
	}
}

func (h *HTTP) listObjects(k ObjectKind) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		q := r.URL.Query()
		o, err := listOptions(q)
		if err != nil {
			return nil, err
		}
		if pattern := q.Get("namePattern"); pattern != "" {
			o.NameFilter = "Contains"
			o.FieldSelector = strings.Trim(o.FieldSelector+",metadata.name="+pattern, ",")
		}
		return h.Service.ListObjects(r.Context(), k, r.PathValue("namespace"), o)
	}
}

// readObjectRequest takes the object out of a request.
func readObjectRequest(r *http.Request, k ObjectKind) (doc []byte, dryRun bool, err error) {
	var fields map[string]json.RawMessage
	if err := readBody(r, &fields); err != nil {
		return nil, false, err
	}
	doc = fields[k.Field]
	if len(doc) == 0 || string(doc) == "null" {
		return nil, false, errorf(CodeInvalid, "%s field not set", k.Field)
	}
	var o struct {
		DryRun []string `json:"dryRun"`
	}
	if options := fields["createOptions"]; len(options) > 0 {
		if err := json.Unmarshal(options, &o); err != nil {
			return nil, false, errorf(CodeInvalid, "createOptions: %v", err)
		}
	}
	return doc, len(o.DryRun) > 0, nil
}

// submitRequest is the body of a submit from something stored.
type submitRequest struct {
	ResourceKind  string      `json:"resourceKind"`
	ResourceName  string      `json:"resourceName"`
	SubmitOptions FromOptions `json:"submitOptions"`
}

func (h *HTTP) submitFrom(r *http.Request) (any, error) {
	var req submitRequest
	if err := readBody(r, &req); err != nil {
		return nil, err
	}
	return h.Service.SubmitFrom(r.Context(), r.PathValue("namespace"), req.ResourceKind, req.ResourceName, req.SubmitOptions)
}
