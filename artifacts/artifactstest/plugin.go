package artifactstest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"argosy/artifacts/plugin/wire"
)

// Plugin is an artifact driver plugin at a unix socket, which keeps all in memory, by the
// configuration of their locations and their keys.
type Plugin struct {
	wire.UnimplementedArtifactServiceServer
	Socket string

	streams bool

	mu      sync.Mutex
	objects map[string]string
	asked   []string // names of calls
}

// StartPlugin starts a plugin, which takes streams or files alone.
func StartPlugin(t *testing.T, streams bool) *Plugin {
	t.Helper()
	dir, err := os.MkdirTemp("", "plugin") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, stop, err := ServePlugin(filepath.Join(dir, "socket"), streams)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ServePlugin is StartPlugin outside of tests: at a socket, until it is stopped.
func ServePlugin(socket string, streams bool) (p *Plugin, stop func() error, err error) {
	p = &Plugin{Socket: socket, streams: streams, objects: map[string]string{}}
	l, err := net.Listen("unix", p.Socket)
	if err != nil {
		return nil, nil, err
	}
	s := grpc.NewServer()
	wire.RegisterArtifactServiceServer(s, p)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return p, func() error { s.Stop(); return <-ended }, nil
}

// Objects are what is kept, by configuration and key.
func (p *Plugin) Objects() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]string{}
	for k, v := range p.objects {
		all[k] = v
	}
	return all
}

// Asked says that a call has come.
func (p *Plugin) Asked(call string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.asked, call)
}

// at is where an artifact is kept. The lock is held from then on.
func (p *Plugin) at(call string, a *wire.Artifact) string {
	p.mu.Lock()
	p.asked = append(p.asked, call)
	return a.GetPlugin().GetConfiguration() + "/" + a.GetPlugin().GetKey()
}

// Save implements the contract.
func (p *Plugin) Save(_ context.Context, r *wire.SaveArtifactRequest) (*wire.SaveArtifactResponse, error) {
	data, err := os.ReadFile(r.GetPath())
	if err != nil {
		return &wire.SaveArtifactResponse{Error: err.Error()}, nil
	}
	at := p.at("Save", r.GetOutputArtifact())
	defer p.mu.Unlock()
	p.objects[at] = string(data)
	return &wire.SaveArtifactResponse{Success: true}, nil
}

// GetCapabilities implements the contract.
func (p *Plugin) GetCapabilities(context.Context, *wire.GetCapabilitiesRequest) (*wire.GetCapabilitiesResponse, error) {
	if !p.streams { // one that is older than this call
		return nil, status.Error(codes.Unimplemented, "unknown method GetCapabilities")
	}
	return &wire.GetCapabilitiesResponse{SupportsSaveStream: true}, nil
}

// SaveStream implements the contract.
func (p *Plugin) SaveStream(s grpc.ClientStreamingServer[wire.SaveStreamArtifactRequest, wire.SaveArtifactResponse]) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	var data strings.Builder
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		data.Write(r.GetChunk())
	}
	at := p.at("SaveStream", first.GetOutputArtifact())
	defer p.mu.Unlock()
	p.objects[at] = data.String()
	return s.SendAndClose(&wire.SaveArtifactResponse{Success: true})
}

// OpenStream implements the contract.
func (p *Plugin) OpenStream(r *wire.OpenStreamRequest, s grpc.ServerStreamingServer[wire.OpenStreamResponse]) error {
	at := p.at("OpenStream", r.GetArtifact())
	data, ok := p.objects[at]
	p.mu.Unlock()
	if !ok {
		return status.Error(codes.NotFound, "no such object")
	}
	for len(data) > 0 {
		n := min(len(data), 1<<20)
		if err := s.Send(&wire.OpenStreamResponse{Data: []byte(data[:n])}); err != nil {
			return err
		}
		data = data[n:]
	}
	return s.Send(&wire.OpenStreamResponse{IsEnd: true})
}

// below lists the keys below an artifact's. The lock is held.
func (p *Plugin) below(at, configuration string) []string {
	var keys []string
	for k := range p.objects {
		if strings.HasPrefix(k, at+"/") {
			keys = append(keys, strings.TrimPrefix(k, configuration+"/"))
		}
	}
	return keys
}

// ListObjects implements the contract.
func (p *Plugin) ListObjects(_ context.Context, r *wire.ListObjectsRequest) (*wire.ListObjectsResponse, error) {
	at := p.at("ListObjects", r.GetArtifact())
	defer p.mu.Unlock()
	return &wire.ListObjectsResponse{Objects: p.below(at, r.GetArtifact().GetPlugin().GetConfiguration())}, nil
}

// IsDirectory implements the contract.
func (p *Plugin) IsDirectory(_ context.Context, r *wire.IsDirectoryRequest) (*wire.IsDirectoryResponse, error) {
	at := p.at("IsDirectory", r.GetArtifact())
	defer p.mu.Unlock()
	return &wire.IsDirectoryResponse{IsDirectory: p.below(at, "") != nil}, nil
}

// Delete implements the contract.
func (p *Plugin) Delete(_ context.Context, r *wire.DeleteArtifactRequest) (*wire.DeleteArtifactResponse, error) {
	at := p.at("Delete", r.GetArtifact())
	defer p.mu.Unlock()
	if r.GetArtifact().GetPlugin().GetConfiguration() == "read-only" {
		return &wire.DeleteArtifactResponse{Error: "it is read-only"}, nil
	}
	delete(p.objects, at)
	return &wire.DeleteArtifactResponse{Success: true}, nil
}
