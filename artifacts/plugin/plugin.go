// Package plugin keeps artifacts with artifact driver plugins: programs of others that serve Argo's
// gRPC contract at a unix socket. One is asked as a Store of the artifacts package is.
//
//	Get  -> OpenStream
//	Put  -> GetCapabilities -> SaveStream, or Save of a file that both can reach
//	Stat -> IsDirectory, List -> ListObjects, Delete -> Delete
//
// What a plugin does with a location's configuration, and as whom, is its own affair.
package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"argosy/artifacts"
	"argosy/artifacts/plugin/wire"
)

const (
	// chunkSize is what is sent at once; gRPC takes messages of up to 4 MiB.
	chunkSize = 1 << 20
	// connectTime is how long a plugin may take to answer, unless its artifact says otherwise: it
	// may be started at the same time as we are.
	connectTime = 10 * time.Second
)

// Plugins are the plugins that a worker has. The zero value has none.
type Plugins struct {
	sockets map[string]string // by name
	shared  string

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// New makes plugins of their sockets, by name. Files for those that take no streams are made in the
// shared directory; empty is the system's for temporary files.
func New(sockets map[string]string, shared string) (*Plugins, error) {
	for name, socket := range sockets {
		if name == "" || !filepath.IsAbs(socket) {
			return nil, fmt.Errorf("artifact plugin %q has its socket at %q, which is no absolute path", name, socket)
		}
	}
	return &Plugins{sockets: sockets, shared: shared, conns: map[string]*grpc.ClientConn{}}, nil
}

// Names are those that there are.
func (p *Plugins) Names() []string {
	var names []string
	for name := range p.sockets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Close ends all connections.
func (p *Plugins) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	clear(p.conns)
	return errors.Join(errs...)
}

// Location is what a plugin is told of an artifact beside its key.
type Location struct {
	Name           string // of the artifact
	Configuration  string
	ConnectTimeout time.Duration // zero is the plugin's own
}

// ErrUnknown says that there is no plugin of a name.
var ErrUnknown = errors.New("no such artifact plugin")

// Store is the store that a plugin is for a location.
func (p *Plugins) Store(name string, at Location) (artifacts.Store, error) {
	socket, ok := p.sockets[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := p.conns[name]
	if conn == nil {
		var err error
		conn, err = grpc.NewClient("passthrough:///"+name, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			}))
		if err != nil {
			return nil, fmt.Errorf("connecting to artifact plugin %q: %w", name, err)
		}
		p.conns[name] = conn
	}
	return &store{name: name, at: at, shared: p.shared, conn: conn, client: wire.NewArtifactServiceClient(conn)}, nil
}

type store struct {
	name   string
	at     Location
	shared string
	conn   *grpc.ClientConn
	client wire.ArtifactServiceClient
}

func (s *store) artifact(key string) *wire.Artifact {
	return &wire.Artifact{Name: s.at.Name, Plugin: &wire.PluginArtifact{
		Name: s.name, Configuration: s.at.Configuration, Key: key, ConnectionTimeoutSeconds: int32(s.at.ConnectTimeout / time.Second), //nolint:gosec // it came as one
	}}
}

// fault words what went wrong, in the transport or in the plugin.
func (s *store) fault(ctx context.Context, doing, key string, err error, said string) error {
	switch {
	case err == nil && said == "":
		return nil
	case err == nil:
		err = errors.New(said)
	case ctx.Err() != nil:
	case status.Code(err) == codes.NotFound:
		err = fmt.Errorf("%w: %w", artifacts.ErrNotFound, err)
	case status.Code(err) == codes.Unavailable, status.Code(err) == codes.ResourceExhausted:
		err = fmt.Errorf("%w: %w", artifacts.ErrAway, err)
	}
	return fmt.Errorf("artifact plugin %q: %s %s: %w", s.name, doing, key, err)
}

// unsuccessful is what an answer without success says.
func unsuccessful(success bool, said string) string {
	if success {
		return ""
	}
	return cmp.Or(said, "it did not succeed, and does not say why")
}

// connect waits until the plugin answers.
func (s *store) connect(ctx context.Context, key string) error {
	limit, cancel := context.WithTimeout(ctx, cmp.Or(s.at.ConnectTimeout, connectTime))
	defer cancel()
	for s.conn.Connect(); ; {
		state := s.conn.GetState()
		if state.String() == "READY" {
			return nil
		}
		if !s.conn.WaitForStateChange(limit, state) {
			return s.fault(ctx, "connecting for", key, status.Errorf(codes.Unavailable, "it does not answer"), "")
		}
		s.conn.Connect() // from idle; otherwise that is nothing
	}
}

// Get implements artifacts.Store.
func (s *store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, err := s.Stat(ctx, key); err != nil {
		return nil, err
	}
	streaming, cancel := context.WithCancel(ctx)
	stream, err := s.client.OpenStream(streaming, &wire.OpenStreamRequest{Artifact: s.artifact(key)})
	r := &reader{s: s, ctx: streaming, cancel: cancel, key: key, stream: stream}
	if err == nil {
		err = r.more() // what is not there is told with the first answer
	}
	if err != nil && !errors.Is(err, io.EOF) {
		cancel()
		return nil, s.fault(ctx, "opening", key, err, "")
	}
	return r, nil
}

// reader reads what a plugin streams.
type reader struct {
	s      *store
	ctx    context.Context
	cancel context.CancelFunc
	key    string
	stream grpc.ServerStreamingClient[wire.OpenStreamResponse]
	data   []byte
	err    error
}

// more receives something.
func (r *reader) more() error {
	for len(r.data) == 0 && r.err == nil {
		answer, err := r.stream.Recv()
		switch {
		case err != nil:
			r.err = err
		case answer.GetError() != "":
			r.err = errors.New(answer.GetError())
		case answer.GetIsEnd():
			r.err = io.EOF
		}
		r.data = answer.GetData()
	}
	if len(r.data) > 0 {
		return nil
	}
	return r.err
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.more(); errors.Is(err, io.EOF) {
		return 0, io.EOF
	} else if err != nil {
		return 0, r.s.fault(r.ctx, "reading", r.key, err, "")
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *reader) Close() error {
	r.cancel()
	return nil
}

// Put implements artifacts.Store.
func (s *store) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := s.connect(ctx, key); err != nil {
		return err
	}
	r = &sized{r, size}
	can, err := s.client.GetCapabilities(ctx, &wire.GetCapabilitiesRequest{})
	if err != nil && status.Code(err) != codes.Unimplemented {
		return s.fault(ctx, "asking what it can for", key, err, "")
	}
	if can.GetSupportsSaveStream() {
		return s.putStream(ctx, key, r)
	}
	return s.putFile(ctx, key, r)
}

// sized fails a stream that does not have the size announced, if one was.
type sized struct {
	io.Reader
	left int64 // negative: unknown
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.left < 0 {
		return n, err
	}
	s.left -= int64(n)
	if s.left < 0 || errors.Is(err, io.EOF) && s.left > 0 {
		return n, fmt.Errorf("the stream does not have the size announced: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// putStream sends the content. A stream that breaks is not ended: nothing of it is to be kept.
func (s *store) putStream(ctx context.Context, key string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.SaveStream(ctx)
	if err != nil {
		return s.fault(ctx, "saving", key, err, "")
	}
	err = stream.Send(&wire.SaveStreamArtifactRequest{OutputArtifact: s.artifact(key)})
	for err == nil {
		chunk := make([]byte, chunkSize) // gRPC keeps it
		n, readErr := r.Read(chunk)
		if n > 0 {
			err = stream.Send(&wire.SaveStreamArtifactRequest{Chunk: chunk[:n]})
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return fmt.Errorf("artifact plugin %q: saving %s: %w", s.name, key, readErr)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: the plugin has answered already
		return s.fault(ctx, "saving", key, err, "")
	}
	answer, err := stream.CloseAndRecv()
	return s.fault(ctx, "saving", key, err, unsuccessful(answer.GetSuccess(), answer.GetError()))
}

// putFile hands the content over in a file.
func (s *store) putFile(ctx context.Context, key string, r io.Reader) (err error) {
	file, err := os.CreateTemp(s.shared, "argosy-plugin-")
	if err != nil {
		return fmt.Errorf("making a file for artifact plugin %q: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = io.Copy(file, r)
	// The plugin may be another user.
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil { //nolint:gosec // as above
		return fmt.Errorf("writing the file for artifact plugin %q: %w", s.name, err)
	}
	answer, err := s.client.Save(ctx, &wire.SaveArtifactRequest{Path: file.Name(), OutputArtifact: s.artifact(key)})
	return s.fault(ctx, "saving", key, err, unsuccessful(answer.GetSuccess(), answer.GetError()))
}

// Stat implements artifacts.Store. Whether there is anything is found out when it is read, and its
// size is not told.
func (s *store) Stat(ctx context.Context, key string) (artifacts.Object, error) {
	if err := s.connect(ctx, key); err != nil {
		return artifacts.Object{}, err
	}
	answer, err := s.client.IsDirectory(ctx, &wire.IsDirectoryRequest{Artifact: s.artifact(key)})
	if status.Code(err) == codes.Unimplemented {
		err = nil
	}
	if err := s.fault(ctx, "looking at", key, err, answer.GetError()); err != nil {
		return artifacts.Object{}, err
	}
	if answer.GetIsDirectory() {
		return artifacts.Object{}, fmt.Errorf("artifact plugin %q: %s is a directory: %w", s.name, key, artifacts.ErrNotFound)
	}
	return artifacts.Object{Key: key}, nil
}

// List implements artifacts.Store.
func (s *store) List(ctx context.Context, prefix string) iter.Seq2[artifacts.Object, error] {
	return func(yield func(artifacts.Object, error) bool) {
		if err := s.connect(ctx, prefix); err != nil {
			yield(artifacts.Object{}, err)
			return
		}
		answer, err := s.client.ListObjects(ctx, &wire.ListObjectsRequest{Artifact: s.artifact(strings.TrimSuffix(prefix, "/"))})
		if err := s.fault(ctx, "listing", prefix, err, answer.GetError()); err != nil {
			yield(artifacts.Object{}, err)
			return
		}
		keys := slices.Sorted(slices.Values(answer.GetObjects()))
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(artifacts.Object{Key: key}, nil) {
				return
			}
		}
	}
}

// Delete implements artifacts.Store.
func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.connect(ctx, key); err != nil {
		return err
	}
	answer, err := s.client.Delete(ctx, &wire.DeleteArtifactRequest{Artifact: s.artifact(key)})
	err = s.fault(ctx, "deleting", key, err, unsuccessful(answer.GetSuccess(), answer.GetError()))
	if errors.Is(err, artifacts.ErrNotFound) {
		return nil
	}
	return err
}
