// Package archive turns the file or directory of an artifact into one stream
// and back, as Argo does: a gzipped tar, a zip, or the plain bytes of a single file.
//
// It uses the standard library only, since the small runner inside step pods
// carries it too.
package archive

import "errors"

var (
	// ErrUnsafe marks an archive that reaches outside its own tree.
	ErrUnsafe = errors.New("unsafe archive")
	// ErrUnsupported marks what an archive or a plain stream cannot hold.
	ErrUnsupported = errors.New("unsupported")
)

// Kind is how a path becomes a stream.
type Kind int

const (
	// Tar is a gzipped tar with the path's own name as its single top entry.
	Tar Kind = iota
	// None is the bytes of a single file.
	None
	// Zip is a zip with the path's own name as its single top entry.
	Zip
)

// Format is a Kind with its settings. The zero value is Argo's default.
type Format struct {
	Kind Kind
	// Level is that of gzip, 0 (stored) to 9; nil is gzip's own default.
	Level *int
}
