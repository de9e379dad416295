package workflow

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"argosy/workflow/spec"
)

// ItemSize is in how many bytes it is kept how an item of a chunked loop ended, little-endian:
//
//	0    phase code in the low nibble; flagReused, flagKept, flagExit, flagExtra
//	1    leaves that were run, at most 255
//	2    exit code of the last one, with flagExit
//	3    where it ran: position in the loop's list of hosts, from 1; 0 is none or in the extra
//	4-7  start of the last one, or when the item ended as it was opened, in ms after the loop's
//	8-11 its duration in ms
//
// What does not fit is in the item's Extra. All zero is an item without a result.
const ItemSize = 12

const (
	codeSucceeded = 1 + iota
	codeFailed
	codeError
	codeSkipped
	codeStopped // Failed, as the run was stopped

	codeMask   = 0x0f
	flagReused = 0x10 // it succeeded in the run's Origin
	flagKept   = 0x20 // the result is of before the run was taken up again, and was not counted since
	flagExit   = 0x40
	flagExtra  = 0x80
)

// Packed are records of a loop's items, from item First on.
type Packed struct {
	First   int
	Records []byte
	// Extras has the Extra of those that have one, by item.
	Extras map[int][]byte
	Hosts  []string
}

// at is the record of an item; nil: it has no result.
func (p *Packed) at(i int) []byte {
	at := (i - p.First) * ItemSize
	if at < 0 || at+ItemSize > len(p.Records) || p.Records[at] == 0 {
		return nil
	}
	return p.Records[at : at+ItemSize]
}

// Has says that an item has a result.
func (p *Packed) Has(i int) bool { return p.at(i) != nil }

// Kept says that an item has a result of before its run was taken up again.
func (p *Packed) Kept(i int) bool {
	r := p.at(i)
	return r != nil && r[0]&flagKept != 0
}

// TakenOver says that an item succeeded in the run's Origin.
func (p *Packed) TakenOver(i int) bool {
	r := p.at(i)
	return r != nil && r[0]&flagReused != 0
}

// Reuse marks the items that succeeded as those that did so in the run's Origin.
func (p *Packed) Reuse() {
	for at := 0; at+ItemSize <= len(p.Records); at += ItemSize {
		if p.Records[at]&codeMask == codeSucceeded {
			p.Records[at] |= flagReused
		}
	}
}

// HasExtra says that an item's Extra is needed to show it.
func (p *Packed) HasExtra(i int) bool {
	r := p.at(i)
	return r != nil && r[0]&flagExtra != 0
}

// Phase is the phase that an item ended with; "" is none yet.
func (p *Packed) Phase(i int) spec.NodePhase {
	r := p.at(i)
	if r == nil {
		return ""
	}
	switch r[0] & codeMask {
	case codeSucceeded:
		return spec.NodeSucceeded
	case codeError:
		return spec.NodeError
	case codeSkipped:
		return spec.NodeSkipped
	}
	return spec.NodeFailed
}

// extra is what a record has no room for: of the item's last result, and the results of the
// attempts before it.
type extra struct {
	Result
	Attempts []*Result `json:"a,omitempty"`
}

// ExitMessage is the message of a command that ended with an exit code.
func ExitMessage(code int) string { return fmt.Sprintf("main: Error (exit code %d)", code) }

// Pack appends the records of items that ended, in order, and counts them.
type Pack struct {
	Packed
	Tally
	// Stopped says that an item was ended as the run had asked, and not by itself.
	Stopped bool
	// Host is the one that the packer is on, and HostIndex its position in the loop's list.
	Host      string
	HostIndex byte
	// Began is the loop's start, from which starts are counted.
	Began Millis
}

// NewPack makes an empty pack for items from first on of a loop.
func NewPack(loop *Node, first int, host string, hostIndex byte) *Pack {
	p := &Pack{Host: host, HostIndex: hostIndex, Began: loop.Started}
	p.First, p.From, p.To = first, first, first
	return p
}

// Add appends the next item, which has ended.
func (p *Pack) Add(r *ItemRun) error {
	record := make([]byte, ItemSize)
	p.To++
	leaves := len(r.results)
	p.Leaves += leaves
	record[1] = byte(min(leaves, math.MaxUint8))
	switch n := r.node; n.Phase {
	case spec.NodeSucceeded:
		record[0] = codeSucceeded
		p.Succeeded++
	case spec.NodeSkipped:
		record[0] = codeSkipped
	case spec.NodeError:
		record[0] = codeError
		if p.Errors++; p.Errors == 1 {
			p.FirstError, p.Why = r.Index, n.refusal(r.items.opener.run.Name)
		}
		p.LastBad, p.LastPhase = r.Index, n.Phase
	default:
		record[0] = codeFailed
		if r.stopped {
			record[0], p.Stopped = codeStopped, true
		}
		if p.Failed++; p.Failed == 1 {
			p.FirstFailed = r.Index
		}
		p.LastBad, p.LastPhase = r.Index, n.Phase
	}
	if leaves == 0 {
		binary.LittleEndian.PutUint32(record[4:], clamp(r.node.Started-p.Began))
	} else {
		if err := p.last(r, record); err != nil {
			return err
		}
	}
	p.Records = append(p.Records, record...)
	return nil
}

// Keep appends the next item with the result that it has of before its run was taken up again.
func (p *Pack) Keep(from *Packed, i int) {
	record := slices.Clone(from.at(i))
	record[0] &^= flagKept
	p.To++
	p.Leaves += int(record[1])
	if record[0]&codeMask == codeSucceeded {
		p.Succeeded++
	}
	if record[0]&flagReused != 0 { // its last leaf is skipped
		p.Leaves--
		p.Reused++
	}
	p.Records = append(p.Records, record...)
}

// last writes the last result of an item.
func (p *Pack) last(r *ItemRun, record []byte) error {
	x := extra{Result: *r.results[len(r.results)-1], Attempts: r.results[:len(r.results)-1]}
	binary.LittleEndian.PutUint32(record[4:], clamp(x.Started-p.Began))
	binary.LittleEndian.PutUint32(record[8:], clamp(x.Finished-x.Started))
	x.Phase, x.Started, x.Finished = "", 0, 0
	if x.Host == p.Host && x.Host != "" && p.HostIndex > 0 {
		record[3], x.Host = p.HostIndex, ""
	}
	if o := x.Outputs; o != nil && o.ExitCode != nil && *o.ExitCode >= 0 && *o.ExitCode <= math.MaxUint8 {
		record[0] |= flagExit
		record[2] = byte(*o.ExitCode)
		if x.Message == ExitMessage(*o.ExitCode) {
			x.Message = ""
		} else if x.Message == "" && record[0]&codeMask == codeFailed {
			x.Message = noMessage
		}
		rest := *o
		rest.ExitCode = nil
		if x.Outputs = &rest; rest.Parameters == nil && rest.Artifacts == nil && rest.Result == nil {
			x.Outputs = nil
		}
	}
	if x.Message == "" && x.Class == "" && x.Host == "" && x.Outputs == nil && len(x.Attempts) == 0 {
		return nil
	}
	data, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("packing item %d: %w", r.Index, err)
	}
	record[0] |= flagExtra
	if p.Extras == nil {
		p.Extras = map[int][]byte{}
	}
	p.Extras[r.Index] = data
	return nil
}

// noMessage marks a failure without the message that its exit code has otherwise.
const noMessage = "\x00"

func clamp(ms Millis) uint32 { return uint32(min(max(ms, 0), math.MaxUint32)) }

// Unpack gives an item as it ended; nil: it has not.
func (it *Items) Unpack(p *Packed, i int) (*ItemRun, error) {
	record := p.at(i)
	if record == nil {
		return nil, nil
	}
	started := it.loop.Started + Millis(binary.LittleEndian.Uint32(record[4:]))
	r := it.Begin(i, started)
	if r.leaf == nil {
		return r, nil // it ended as it was opened
	}
	var x extra
	if record[0]&flagExtra != 0 {
		if err := json.Unmarshal(p.Extras[i], &x); err != nil {
			return nil, fmt.Errorf("unpacking item %d of %q: %w", i, it.loop.Key, err)
		}
	}
	for _, earlier := range x.Attempts {
		if r.leaf == nil {
			break
		}
		r.Ended(earlier)
	}
	if r.leaf == nil {
		return r, nil
	}
	last := x.Result
	last.Phase = p.Phase(i)
	last.Started = started
	last.Finished = last.Started + Millis(binary.LittleEndian.Uint32(record[8:]))
	if h := int(record[3]); h > 0 && h <= len(p.Hosts) {
		last.Host = p.Hosts[h-1]
	}
	if record[0]&flagExit != 0 {
		code := int(record[2])
		if last.Outputs == nil {
			last.Outputs = &Values{}
		}
		last.Outputs.ExitCode = &code
		if last.Message == "" && last.Phase == spec.NodeFailed {
			last.Message = ExitMessage(code)
		}
	}
	if last.Message == noMessage {
		last.Message = ""
	}
	leaf := r.leaf
	last.Stopped = record[0]&codeMask == codeStopped
	r.Ended(&last)
	if from := it.opener.run.From; from != nil && record[0]&flagReused != 0 {
		leaf.reuse(from)
	}
	return r, nil
}
