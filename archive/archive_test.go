package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// file is an archive in memory that knows which parts were read.
type file struct {
	data  []byte
	reads int
}

func (f *file) read(_ context.Context, offset, length int64) ([]byte, error) {
	f.reads++
	if offset > int64(len(f.data)) {
		return nil, io.ErrUnexpectedEOF
	}
	return f.data[offset:min(offset+length, int64(len(f.data)))], nil
}

func write(t *testing.T, records []Record) *file {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	require.NoError(t, err)
	for _, r := range records {
		require.NoError(t, w.Add(r))
	}
	require.NoError(t, w.Close())
	return &file{data: out.Bytes()}
}

func (f *file) open(t *testing.T) *Reader {
	t.Helper()
	r, err := Open(t.Context(), f.read, int64(len(f.data)))
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// noise is what does not compress.
func noise(random *rand.Rand, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

func items(count, size int) []Record {
	random := rand.New(rand.NewPCG(1, 2))
	records := []Record{{Key: "meta", Value: []byte("about")}}
	for i := range count {
		records = append(records, Record{Key: fmt.Sprintf("n/loop(%d:x)", i), Value: noise(random, size)})
	}
	return append(records, Record{Key: "n/tail"}, Record{Key: "o", Value: []byte("after")})
}

func TestKeysGoByTheirNumbers(t *testing.T) {
	t.Parallel()
	want := []string{"", "/a", "/a(0:x)", "/a(2:x)", "/a(2:x)/b", "/a(2:y)", "/a(10:x)", "/a(010:x)", "/a(999)", "/a(1000)", "/a.b", "/b", "/b1", "/b01", "/b1a"}
	slices.SortFunc(want, Compare)
	for i, a := range want {
		for j, b := range want {
			switch c := Compare(a, b); {
			case i < j:
				require.Negative(t, c, "%q %q", a, b)
			case i > j:
				require.Positive(t, c, "%q %q", a, b)
			default:
				require.Zero(t, c)
			}
		}
	}
	require.Negative(t, Compare("/a(9:x)", "/a(10:x)"))
	require.Negative(t, Compare("/a(2:x)/b(7)", "/a(3:x)"))
	require.Positive(t, Compare("/a(010:x)", "/a(10:x)"))
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	for name, records := range map[string][]Record{
		"nothing":                 nil,
		"one":                     {{Key: "a", Value: []byte("b")}},
		"an empty key and value":  {{}},
		"many frames":             items(300, 20_000),
		"more than a frame holds": {{Key: "a"}, {Key: "b", Value: noise(rand.New(rand.NewPCG(3, 4)), 3<<20)}, {Key: "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := write(t, records)
			r := f.open(t)
			var all []Record
			for record, err := range r.Below(t.Context(), "") {
				require.NoError(t, err)
				all = append(all, Record{Key: record.Key, Value: append([]byte(nil), record.Value...)})
			}
			require.Len(t, all, len(records))
			for i := range records {
				require.Equal(t, records[i].Key, all[i].Key)
				require.True(t, bytes.Equal(records[i].Value, all[i].Value), all[i].Key)
				got, err := r.Get(t.Context(), records[i].Key, "none", "zz")
				require.NoError(t, err)
				require.Len(t, got, 1)
				require.True(t, bytes.Equal(records[i].Value, got[records[i].Key]))
			}
		})
	}
}

func TestFramesAreSmallAndThoseThatAreWantedAreRead(t *testing.T) {
	t.Parallel()
	f := write(t, items(300, 20_000))
	r := f.open(t)
	require.Equal(t, 1, f.reads, "opening")
	require.Len(t, r.frames, 6)
	for _, frame := range r.frames {
		require.LessOrEqual(t, frame.length, int64(FrameSize+1<<10))
	}
	got, err := r.Get(t.Context(), "n/loop(120:x)", "n/loop(118:x)", "n/loop(119:x)", "n/loop(1000:x)")
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.LessOrEqual(t, f.reads, 3, "neighbours")
	before := f.reads
	_, err = r.Get(t.Context(), "n/loop(118:x)")
	require.NoError(t, err)
	require.Equal(t, before, f.reads, "it was read a moment ago")

	small := write(t, items(3, 10))
	got, err = small.open(t).Get(t.Context(), "meta", "o", "n/tail")
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, 1, small.reads, "a small file is read at once")
}

func TestRecordsBelowAPrefix(t *testing.T) {
	t.Parallel()
	r := write(t, items(300, 20_000)).open(t)
	for prefix, want := range map[string]int{"n/": 301, "meta": 1, "n/loop(": 300, "n/loop(7:": 1, "p": 0, "a": 0, "o": 1} {
		n := 0
		for _, err := range r.Below(t.Context(), prefix) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, want, n, prefix)
	}
}

func TestToolsOfZstdReadTheRecords(t *testing.T) {
	t.Parallel()
	records := items(300, 20_000)
	d, err := zstd.NewReader(bytes.NewReader(write(t, records).data))
	require.NoError(t, err)
	defer d.Close()
	data, err := io.ReadAll(d)
	require.NoError(t, err)
	var want []byte
	for _, r := range records {
		want = r.append(want)
	}
	require.True(t, bytes.Equal(want, data))
}

func TestKeysOutOfOrderAreRefused(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(io.Discard)
	require.NoError(t, err)
	require.NoError(t, w.Add(Record{Key: "n(10)"}))
	require.ErrorIs(t, w.Add(Record{Key: "n(10)"}), ErrOrder)
	require.ErrorIs(t, w.Add(Record{Key: "n(9)"}), ErrOrder)
}

func TestABrokenFileIsAnError(t *testing.T) {
	t.Parallel()
	whole := write(t, items(300, 20_000)).data
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"cut":              func(d []byte) []byte { return d[:len(d)-1] },
		"an index too far": func(d []byte) []byte { binary.LittleEndian.PutUint32(d[len(d)-trailerSize:], 1<<31); return d },
		"another index":    func(d []byte) []byte { d[len(d)-trailerSize-3] ^= 0xff; return d },
		"something else":   func([]byte) []byte { return []byte(strings.Repeat("x", 1000)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &file{data: spoil(bytes.Clone(whole))}
			_, err := Open(t.Context(), f.read, int64(len(f.data)))
			require.ErrorIs(t, err, ErrBroken)
		})
	}
	f := &file{data: bytes.Clone(whole)}
	f.data[1000] ^= 0xff
	_, err := f.open(t).Get(t.Context(), "meta")
	require.ErrorIs(t, err, ErrBroken)
}

func TestRecordsAreSortedInMemoryAndByFiles(t *testing.T) {
	t.Parallel()
	for name, memory := range map[string]int{"in memory": sortMemory, "by files": 50_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := items(1000, 500)
			shuffled := append(slices.Clone(want), want[100:200]...) // a scan may say things twice
			rand.New(rand.NewPCG(5, 6)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			s := NewSorter()
			s.memory = memory
			defer func() { require.NoError(t, s.Close()) }()
			for _, r := range shuffled {
				require.NoError(t, s.Add(r))
			}
			var got []Record
			for r, err := range s.Sorted() {
				require.NoError(t, err)
				got = append(got, r)
			}
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, want[i].Key, got[i].Key)
				require.True(t, bytes.Equal(want[i].Value, got[i].Value))
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	var out bytes.Buffer
	w, err := NewWriter(&out)
	require.NoError(f, err)
	require.NoError(f, w.Add(Record{Key: "k", Value: []byte("v")}))
	require.NoError(f, w.Close())
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &file{data: data}
		r, err := Open(t.Context(), in.read, int64(len(data)))
		if err != nil {
			return
		}
		defer r.Close()
		for _, err := range r.Below(t.Context(), "") {
			if err != nil {
				return
			}
		}
	})
}
