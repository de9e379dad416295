package archive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ErrBroken says that a file is not one that a Writer wrote.
var ErrBroken = errors.New("the archive is broken")

// Source reads a part of a file, all of it.
type Source func(ctx context.Context, offset, length int64) ([]byte, error)

const (
	tailSize  = 64 << 10 // what is read first: small files in whole
	keptRead  = 4        // frames that are kept, since pages are read one after the other
	maxMemory = 1 << 30  // of a frame
)

// Reader reads a file. It is for one at a time.
type Reader struct {
	read   Source
	zstd   *zstd.Decoder
	frames []frame
	tail   []byte // the end of the file
	tailAt int64
	kept   []keptFrame // the one that was used last at the end
}

type frame struct {
	first          string
	offset, length int64
}

type keptFrame struct {
	at      int
	records []Record
}

// Open reads the index of a file of a size. Close the Reader.
func Open(ctx context.Context, read Source, size int64) (*Reader, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxMemory))
	if err != nil {
		return nil, fmt.Errorf("preparing to read an archive: %w", err)
	}
	r := &Reader{read: read, zstd: d}
	if err := r.open(ctx, size); err != nil {
		r.Close()
		return nil, fmt.Errorf("reading the index of an archive: %w", err)
	}
	return r, nil
}

// Close lets go of the Reader's memory.
func (r *Reader) Close() { r.zstd.Close() }

func (r *Reader) open(ctx context.Context, size int64) error {
	r.tailAt = max(0, size-tailSize)
	var err error
	if r.tail, err = r.part(ctx, r.tailAt, size-r.tailAt); err != nil {
		return err
	}
	trailer := len(r.tail) - trailerSize
	if trailer < 0 || string(r.tail[trailer+4:]) != magic {
		return ErrBroken
	}
	length := int64(binary.LittleEndian.Uint32(r.tail[trailer:]))
	at := size - int64(trailerSize) - length
	if at < headerSize {
		return ErrBroken
	}
	packed, err := r.bytes(ctx, at, length)
	if err != nil {
		return err
	}
	index, err := r.zstd.DecodeAll(packed, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	var offset int64
	for len(index) > 0 {
		key, rest, ok := text(index)
		length, n := binary.Uvarint(rest)
		if !ok || n <= 0 || length > uint64(at-offset) { //nolint:gosec // offset is at most at
			return ErrBroken
		}
		r.frames = append(r.frames, frame{first: string(key), offset: offset, length: int64(length)}) //nolint:gosec // at most at
		offset += int64(length)                                                                       //nolint:gosec // as above
		index = rest[n:]
	}
	return nil
}

// bytes are a part of the file, of its end without reading it again.
func (r *Reader) bytes(ctx context.Context, offset, length int64) ([]byte, error) {
	if from := offset - r.tailAt; from >= 0 && from+length <= int64(len(r.tail)) {
		return r.tail[from : from+length], nil
	}
	return r.part(ctx, offset, length)
}

func (r *Reader) part(ctx context.Context, offset, length int64) ([]byte, error) {
	data, err := r.read(ctx, offset, length)
	if err == nil && int64(len(data)) != length {
		err = fmt.Errorf("%w: it ends too early", ErrBroken)
	}
	return data, err
}

// text takes a text of known length off data.
func text(data []byte) (head, rest []byte, ok bool) {
	length, n := binary.Uvarint(data)
	if n <= 0 || length > uint64(len(data)-n) {
		return nil, nil, false
	}
	end := n + int(length) //nolint:gosec // at most len(data)
	return data[n:end:end], data[end:], true
}

// records reads a frame.
func (r *Reader) records(ctx context.Context, at int) ([]Record, error) {
	if i := slices.IndexFunc(r.kept, func(k keptFrame) bool { return k.at == at }); i >= 0 {
		k := r.kept[i]
		r.kept = append(slices.Delete(r.kept, i, i+1), k)
		return k.records, nil
	}
	packed, err := r.bytes(ctx, r.frames[at].offset, r.frames[at].length)
	if err != nil {
		return nil, fmt.Errorf("reading frame %d of an archive: %w", at, err)
	}
	data, err := r.zstd.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("reading frame %d of an archive: %w: %w", at, ErrBroken, err)
	}
	var records []Record
	for len(data) > 0 {
		key, rest, ok := text(data)
		value, rest, ok2 := text(rest)
		if !ok || !ok2 {
			return nil, fmt.Errorf("reading frame %d of an archive: %w", at, ErrBroken)
		}
		records = append(records, Record{Key: string(key), Value: value})
		data = rest
	}
	if len(r.kept) == keptRead {
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	r.kept = append(r.kept, keptFrame{at: at, records: records})
	return records, nil
}

// frameOf is the frame that a key is in, if it is anywhere; -1: it is nowhere.
func (r *Reader) frameOf(key string) int {
	return sort.Search(len(r.frames), func(i int) bool { return Compare(r.frames[i].first, key) > 0 }) - 1
}

// Get reads the values of keys; one that is not there is missing.
func (r *Reader) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	out := make(map[string][]byte, len(keys))
	for _, key := range slices.SortedFunc(slices.Values(keys), Compare) {
		at := r.frameOf(key)
		if at < 0 {
			continue
		}
		records, err := r.records(ctx, at)
		if err != nil {
			return nil, err
		}
		if i, ok := find(records, key); ok {
			out[key] = records[i].Value
		}
	}
	return out, nil
}

func find(records []Record, key string) (int, bool) {
	return slices.BinarySearchFunc(records, key, func(r Record, key string) int { return Compare(r.Key, key) })
}

// Below reads the records whose keys begin with a prefix that does not end in a digit, in their
// order. It ends at the first error.
func (r *Reader) Below(ctx context.Context, prefix string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for at := max(0, r.frameOf(prefix)); at < len(r.frames); at++ {
			if first := r.frames[at].first; Compare(first, prefix) > 0 && !strings.HasPrefix(first, prefix) {
				return
			}
			records, err := r.records(ctx, at)
			if err != nil {
				yield(Record{}, err)
				return
			}
			from, _ := find(records, prefix)
			for _, record := range records[from:] {
				if !strings.HasPrefix(record.Key, prefix) || !yield(record, nil) {
					return
				}
			}
		}
	}
}
