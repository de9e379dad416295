package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// FrameSize is how many bytes of records a frame holds at most, unless one alone is larger.
const FrameSize = 1 << 20

const (
	skippable   = 0x184D2A50 // begins what tools of zstd skip
	magic       = "ARGOSYA1"
	trailerSize = 4 + len(magic)
	headerSize  = 8 // of a skippable frame
)

// ErrOrder says that records do not come in their order.
var ErrOrder = errors.New("keys out of order")

// Record is a value under a key.
type Record struct {
	Key   string
	Value []byte
}

// append adds the record to a frame.
func (r Record) append(frame []byte) []byte {
	frame = binary.AppendUvarint(frame, uint64(len(r.Key)))
	frame = append(frame, r.Key...)
	frame = binary.AppendUvarint(frame, uint64(len(r.Value)))
	return append(frame, r.Value...)
}

// size bounds what append adds.
func (r Record) size() int { return len(r.Key) + len(r.Value) + 2*binary.MaxVarintLen32 }

// Writer writes a file.
type Writer struct {
	w       io.Writer
	zstd    *zstd.Encoder
	frame   []byte
	out     []byte
	first   string // key of the frame
	last    string // key that was added
	any     bool
	index   []byte
	written int64
}

// NewWriter makes a writer. Close it.
func NewWriter(w io.Writer) (*Writer, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(FrameSize), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("preparing to compress: %w", err)
	}
	return &Writer{w: w, zstd: e}, nil
}

// Add writes the next record.
func (w *Writer) Add(r Record) error {
	if w.any && Compare(w.last, r.Key) >= 0 {
		return fmt.Errorf("archiving %q after %q: %w", r.Key, w.last, ErrOrder)
	}
	if len(w.frame) > 0 && len(w.frame)+r.size() > FrameSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(w.frame) == 0 {
		w.first = r.Key
	}
	w.frame = r.append(w.frame)
	w.last, w.any = r.Key, true
	return nil
}

func (w *Writer) flush() error {
	if len(w.frame) == 0 {
		return nil
	}
	w.out = w.zstd.EncodeAll(w.frame, w.out[:0])
	n, err := w.w.Write(w.out)
	if err != nil {
		return fmt.Errorf("writing a frame: %w", err)
	}
	w.index = binary.AppendUvarint(w.index, uint64(len(w.first)))
	w.index = append(w.index, w.first...)
	w.index = binary.AppendUvarint(w.index, uint64(n))
	w.written += int64(n)
	w.frame = w.frame[:0]
	return nil
}

// Close writes what is left, and the index.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	index := w.zstd.EncodeAll(w.index, nil)
	end := binary.LittleEndian.AppendUint32(nil, skippable)
	end = binary.LittleEndian.AppendUint32(end, uint32(len(index)+trailerSize)) //nolint:gosec // some bytes for each MiB
	end = append(end, index...)
	end = binary.LittleEndian.AppendUint32(end, uint32(len(index))) //nolint:gosec // as above
	end = append(end, magic...)
	if _, err := w.w.Write(end); err != nil {
		return fmt.Errorf("writing the index: %w", err)
	}
	return w.zstd.Close()
}
