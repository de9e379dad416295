package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Artifacts is where the artifacts of runs are. It reports ErrNotFound.
type Artifacts interface {
	// List names the objects of an artifact: one with an empty name, or, for a directory that
	// was not packed, one for each file, by its path in the directory.
	List(ctx context.Context, of *ArtifactsOf, a *spec.Artifact) ([]string, error)
	// Open reads one object of an artifact, as it is stored.
	Open(ctx context.Context, of *ArtifactsOf, a *spec.Artifact, object string) (io.ReadCloser, error)
	// Pack writes a directory as tar and gzip.
	Pack(ctx context.Context, of *ArtifactsOf, a *spec.Artifact, w io.Writer) error
}

// ArtifactsOf is a run whose artifacts are asked for.
type ArtifactsOf struct {
	Run        *workflow.Run
	Repository *spec.ArtifactRepository // nil: the fleet's own
}

// artifactRequest names an artifact of a node.
type artifactRequest struct {
	namespace, name string // of the run
	uid             string // or this
	node, artifact  string
	input           bool
}

// found is an artifact that was asked for.
type found struct {
	of      *ArtifactsOf
	a       *spec.Artifact
	objects []string
}

// directory says that the artifact is files below a directory.
func (f *found) directory() bool { return len(f.objects) != 1 || f.objects[0] != "" }

// file is what the artifact is called where it lies.
func (f *found) file() string {
	if key, keyed := f.a.Key(); keyed && key != "" {
		return path.Base(key)
	}
	return f.a.Name
}

// findArtifact looks an artifact up.
func (s *Service) findArtifact(ctx context.Context, q artifactRequest) (*found, error) {
	if s.artifacts == nil {
		return nil, errorf(CodeUnimplemented, "this server does not know where artifacts are: start it with --artifacts or the address of S3")
	}
	r, err := s.ofArtifact(ctx, q)
	if err != nil {
		return nil, err
	}
	l, err := s.lens(ctx, r)
	if err != nil {
		return nil, err
	}
	at, err := l.from(ctx, q.node)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, errorf(CodeNotFound, "node %q of workflow %q not found", q.node, r.Run.Name)
	}
	values := at.node.Outputs
	if q.input {
		values = at.node.Inputs
	}
	a, ok := values.Artifact(q.artifact)
	if !ok {
		return nil, errorf(CodeNotFound, "artifact %q of node %q not found", q.artifact, q.node)
	}
	f := &found{of: &ArtifactsOf{Run: r.Run, Repository: l.plan.Repository()}, a: a, objects: []string{""}}
	if a.Raw != nil {
		return f, nil
	}
	f.objects, err = s.artifacts.List(ctx, f.of, a)
	if err != nil {
		return nil, artifactTrouble(err, a)
	}
	slices.Sort(f.objects)
	return f, nil
}

// ofArtifact is the run that has an artifact.
func (s *Service) ofArtifact(ctx context.Context, q artifactRequest) (*Record, error) {
	if q.uid == "" {
		return s.anywhere(ctx, q.namespace, q.name, "")
	}
	r, err := s.store.Load(ctx, q.uid, maxShown)
	if errors.Is(err, ErrNotFound) && s.archive != nil {
		return s.archivedRun(ctx, q.namespace, "", q.uid)
	}
	if errors.Is(err, ErrNotFound) || err == nil && q.namespace != "" && r.Run.Namespace != q.namespace {
		return nil, notFound(q.uid)
	}
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", q.uid, err)
	}
	return r, nil
}

func (s *Service) openArtifact(ctx context.Context, f *found, object string) (io.ReadCloser, error) {
	if f.a.Raw != nil {
		return io.NopCloser(strings.NewReader(f.a.Raw.Data)), nil
	}
	in, err := s.artifacts.Open(ctx, f.of, f.a, object)
	if err != nil {
		return nil, artifactTrouble(err, f.a)
	}
	return in, nil
}

func artifactTrouble(err error, a *spec.Artifact) error {
	if errors.Is(err, ErrNotFound) {
		return errorf(CodeNotFound, "artifact %q is not there: %v", a.Name, err)
	}
	return fmt.Errorf("reading artifact %s: %w", a.Name, err)
}

// artifactRoutes are Argo's paths for artifacts: of outputs and inputs, by a run's name or uid, and
// as files to browse.
func (h *HTTP) artifactRoutes() map[string]http.HandlerFunc {
	routes := map[string]http.HandlerFunc{}
	for prefix, input := range map[string]bool{"/artifacts": false, "/input-artifacts": true} {
		download := func(w http.ResponseWriter, r *http.Request) error {
			return h.download(w, r, artifactRequest{
				namespace: r.PathValue("namespace"), name: r.PathValue("name"), uid: r.PathValue("uid"),
				node: r.PathValue("node"), artifact: r.PathValue("artifact"), input: input,
			})
		}
		routes["GET "+prefix+"/{namespace}/{name}/{node}/{artifact}"] = h.sending(download)
		routes["GET "+prefix+"-by-uid/{uid}/{node}/{artifact}"] = h.sending(download)
	}
	at := "GET /artifact-files/{namespace}/{kind}/{id}/{node}/{direction}/{artifact}"
	routes[at], routes[at+"/{file...}"] = h.sending(h.browse), h.sending(h.browse)
	return routes
}

// sending serves what may be large.
func (h *HTTP) sending(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{}) // not every writer has them
		_ = c.SetWriteDeadline(time.Time{})
		ctx, cancel := untilStop(r)
		defer cancel()
		out := &begun{ResponseWriter: w}
		if err := serve(out, r.WithContext(ctx)); err != nil {
			h.fail(r, err, func(e *Error) {
				if out.yes {
					panic(http.ErrAbortHandler) // so that nobody takes it for whole
				}
				writeError(w, e)
			})
		}
	}
}

// begun knows whether an answer has begun.
type begun struct {
	http.ResponseWriter
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// download sends an artifact as it is stored; a directory comes packed.
func (h *HTTP) download(w http.ResponseWriter, r *http.Request, q artifactRequest) error {
	f, err := h.Service.findArtifact(r.Context(), q)
	if err != nil {
		return err
	}
	if !f.directory() {
		return h.send(w, r, f, "", f.file())
	}
	artifactHeaders(w, f.file()+".tgz")
	return h.Service.artifacts.Pack(r.Context(), f.of, f.a, w)
}

func (h *HTTP) send(w http.ResponseWriter, r *http.Request, f *found, object, name string) error {
	in, err := h.Service.openArtifact(r.Context(), f, object)
	if err != nil {
		return err
	}
	defer in.Close()
	artifactHeaders(w, name)
	if _, err := io.Copy(w, in); err != nil {
		return fmt.Errorf("sending artifact %s: %w", f.a.Name, err)
	}
	return nil
}

// artifactHeaders keep what a step wrote from doing anything in a browser that shows it.
func artifactHeaders(w http.ResponseWriter, name string) {
	header := w.Header()
	header.Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": name}))
	header.Set("Content-Type", cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream"))
	header.Set("Content-Security-Policy", "sandbox; base-uri 'none'; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'")
	header.Set("X-Frame-Options", "SAMEORIGIN")
	header.Set("X-Content-Type-Options", "nosniff")
}

// indexFile is shown for the directory that it is in.
const indexFile = "index.html"

// browse sends a file of an artifact, or shows what there is in a directory.
func (h *HTTP) browse(w http.ResponseWriter, r *http.Request) error {
	q := artifactRequest{namespace: r.PathValue("namespace"), node: r.PathValue("node"), artifact: r.PathValue("artifact")}
	switch r.PathValue("kind") {
	case "workflows":
		q.name = r.PathValue("id")
	case "archived-workflows":
		q.uid = r.PathValue("id")
	default:
		return errorf(CodeInvalid, "%q is neither workflows nor archived-workflows", r.PathValue("kind"))
	}
	switch r.PathValue("direction") {
	case "inputs":
		q.input = true
	case "outputs":
	default:
		return errorf(CodeInvalid, "%q is neither inputs nor outputs", r.PathValue("direction"))
	}
	f, err := h.Service.findArtifact(r.Context(), q)
	if err != nil {
		return err
	}
	file := r.PathValue("file")
	switch {
	case !f.directory() && file == "":
		return h.send(w, r, f, "", f.file())
	case slices.Contains(f.objects, file) && file != "":
		return h.send(w, r, f, file, path.Base(file))
	}
	dir := strings.TrimSuffix(file, "/")
	names := entries(f.objects, dir)
	switch {
	case !f.directory(), len(names) == 0 && dir != "":
		return errorf(CodeNotFound, "artifact %q has no file %q", f.a.Name, file)
	case !strings.HasSuffix(r.URL.Path, "/"):
		http.Redirect(w, r, r.URL.EscapedPath()+"/", http.StatusTemporaryRedirect)
		return nil
	case slices.Contains(names, indexFile):
		return h.send(w, r, f, path.Join(dir, indexFile), indexFile)
	}
	artifactHeaders(w, indexFile)
	return listing.Execute(w, names)
}

var listing = template.Must(template.New("listing").Parse(`<html><body><ul>
<li><a href="..">..</a></li>
{{range .}}<li><a href="./{{.}}">{{.}}</a></li>
{{end}}</ul></body></html>
`))

// entries are the names of what is in a directory, of directories with a slash.
func entries(objects []string, dir string) (names []string) {
	if dir != "" {
		dir += "/"
	}
	for _, o := range objects {
		rest, ok := strings.CutPrefix(o, dir)
		if !ok || rest == "" {
			continue
		}
		if name, _, deeper := strings.Cut(rest, "/"); deeper {
			rest = name + "/"
		}
		if !slices.Contains(names[max(0, len(names)-1):], rest) { // they are sorted
			names = append(names, rest)
		}
	}
	return names
}
