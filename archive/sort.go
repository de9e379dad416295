package archive

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// sortMemory is how many bytes of records are sorted in memory.
const sortMemory = 32 << 20

// Sorter puts any number of records in their order: some in memory, and more by temporary files.
// Of two with the same key one stays.
type Sorter struct {
	memory  int
	size    int
	records []Record
	files   []*os.File
}

// NewSorter makes a sorter. Close it.
func NewSorter() *Sorter { return &Sorter{memory: sortMemory} }

// Add takes a record in.
func (s *Sorter) Add(r Record) error {
	s.records = append(s.records, r)
	if s.size += r.size(); s.size < s.memory {
		return nil
	}
	return s.spill()
}

func (s *Sorter) sort() {
	slices.SortFunc(s.records, func(a, b Record) int { return Compare(a.Key, b.Key) })
}

// spill writes what is in memory to a file.
func (s *Sorter) spill() error {
	s.sort()
	file, err := os.CreateTemp("", "argosy-archive-")
	if err != nil {
		return fmt.Errorf("sorting what is archived: %w", err)
	}
	// The name is not needed, and so nothing is left of a process that dies.
	err = os.Remove(file.Name())
	s.files = append(s.files, file)
	out := bufio.NewWriter(file)
	var line []byte
	for _, r := range s.records {
		line = r.append(line[:0])
		if _, e := out.Write(line); e != nil {
			err = errors.Join(err, e)
			break
		}
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("sorting what is archived: %w", err)
	}
	clear(s.records)
	s.records, s.size = s.records[:0], 0
	return nil
}

// Sorted gives all records, once. It ends at the first error.
func (s *Sorter) Sorted() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s.sort()
		merged, err := s.open()
		var last *Record
		for err == nil && merged.Len() > 0 {
			from := (*merged)[0]
			r := from.head
			if from.next() {
				heap.Fix(merged, 0)
			} else if heap.Pop(merged); from.err != nil {
				err = from.err
			}
			if last != nil && last.Key == r.Key {
				continue
			}
			if !yield(r, nil) {
				return
			}
			last = &r
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("sorting what is archived: %w", err))
		}
	}
}

// open prepares to read all sources.
func (s *Sorter) open() (*sources, error) {
	all := sources{}
	for _, file := range s.files {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		all = append(all, &source{in: bufio.NewReader(file)})
	}
	all = append(all, &source{memory: s.records})
	for _, from := range slices.Clone(all) {
		if !from.next() {
			if from.err != nil {
				return nil, from.err
			}
			all = slices.DeleteFunc(all, func(other *source) bool { return other == from })
		}
	}
	heap.Init(&all)
	return &all, nil
}

// Close lets go of the files.
func (s *Sorter) Close() error {
	var errs []error
	for _, file := range s.files {
		errs = append(errs, file.Close())
	}
	s.files, s.records = nil, nil
	return errors.Join(errs...)
}

// source is some records in their order: of a file, or in memory.
type source struct {
	in     *bufio.Reader
	memory []Record
	head   Record
	err    error
}

// next reads the next record, if there is one.
func (s *source) next() bool {
	if s.in == nil {
		if len(s.memory) == 0 {
			return false
		}
		s.head, s.memory = s.memory[0], s.memory[1:]
		return true
	}
	key, err := take(s.in)
	if errors.Is(err, io.EOF) {
		return false
	}
	value, err2 := take(s.in)
	if s.err = errors.Join(err, err2); s.err != nil {
		return false
	}
	s.head = Record{Key: string(key), Value: value}
	return true
}

func take(in *bufio.Reader) ([]byte, error) {
	length, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	data := make([]byte, length)
	_, err = io.ReadFull(in, data)
	return data, err
}

// sources is a heap of them by their heads.
type sources []*source

// Len is heap.Interface's.
func (s sources) Len() int           { return len(s) }
func (s sources) Less(i, j int) bool { return Compare(s[i].head.Key, s[j].head.Key) < 0 }
func (s sources) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push is heap.Interface's.
func (s *sources) Push(x any) { *s = append(*s, x.(*source)) }

// Pop is heap.Interface's.
func (s *sources) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
