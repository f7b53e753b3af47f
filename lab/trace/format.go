package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"troupe/router"
)

// magic is the first line of a file; its number is the version of the format.
const magic = "troupe routing 1\n"

// Kinds of blocks.
const (
	headerBlock   = 'h'
	documentBlock = 'd'
	rowsBlock     = 'r'
	endBlock      = 'e'
)

const (
	blockHead  = 9        // kind, length, checksum
	maxPayload = 16 << 20 // bytes of a block
	fullRows   = 64 << 10 // a block of rows is written when it has as many bytes
	maxLayers  = 1 << 14
	maxExperts = 1 << 16
	// maxWords bounds the rows of a document in memory, in words of 8 bytes: 131,072 tokens of 64 layers with 8 experts
	// are about half of it.
	maxWords = 1 << 27
)

// words is the memory that a row takes at most: itself, a start for each layer, expert and gate of each pair.
func words(p router.Path) int { return 11 + len(p.Start) + len(p.Expert) }

// How the counts of a row are written.
const (
	sameCounts = iota
	oneCount
	eachCount
)

// ErrCut says that a file ends too early: what was read before is whole.
var ErrCut = errors.New("the file was cut: what comes before is whole")

// Header says what the documents of a file were computed with.
type Header struct {
	Model       string `json:"model"`
	NumLayers   int    `json:"num_layers"`
	NumExperts  int    `json:"num_experts"`          // of a layer
	NumSelected int    `json:"num_selected_experts"` // of the model's own routing
	Experts     string `json:"experts"`              // the policy, as --experts has it, of documents that state none
	Arith       string `json:"arith"`
	Kernels     string `json:"kernels"` // the binding; "": the best of the machine
}

func (h Header) check() error {
	switch {
	case h.NumLayers < 1 || h.NumLayers > maxLayers:
		return fmt.Errorf("%d layers, want 1 to %d", h.NumLayers, maxLayers)
	case h.NumExperts < 1 || h.NumExperts > maxExperts:
		return fmt.Errorf("%d experts, want 1 to %d", h.NumExperts, maxExperts)
	case h.NumSelected < 0 || h.NumSelected > h.NumExperts:
		return fmt.Errorf("%d selected experts, want 0 to %d", h.NumSelected, h.NumExperts)
	}
	return nil
}

// expertBytes is how many bytes the index of an expert has in the file.
func (h Header) expertBytes() int {
	if h.NumExperts > 256 {
		return 2
	}
	return 1
}

// rowBytes is at least what a row takes in the file.
func (h Header) rowBytes(p router.Path) int {
	return 1 + binary.MaxVarintLen64 + binary.MaxVarintLen32*h.NumLayers + (h.expertBytes()+2)*len(p.Expert)
}

// Doc is a text with its routing.
type Doc struct {
	ID      string  // of the request, or the document's number
	Domain  string  // a label; "": none
	Experts string  // the policy, where it is not the header's
	Text    string  // may be empty: the tokens are the truth
	Prompt  int     // how many of the tokens were given; the others were generated
	Tokens  []int32 // ids of the whole text, each 0 or more
	// Rows are those that were computed, by ascending position. The token that was generated last was never fed
	// and has none. Each has the header's number of layers.
	Rows []router.RowRouting
}

// check compares a document with the header, so that what is written can be read.
func (d *Doc) check(h Header) error {
	if d.Prompt < 0 || d.Prompt > len(d.Tokens) {
		return fmt.Errorf("%d of %d tokens are the prompt", d.Prompt, len(d.Tokens))
	}
	for i, t := range d.Tokens {
		if t < 0 {
			return fmt.Errorf("token %d is %d, want 0 or more", i, t)
		}
	}
	size, next := 0, 0
	for i := range d.Rows {
		r := &d.Rows[i]
		if r.Position < next || r.Position >= len(d.Tokens) || r.Token != d.Tokens[r.Position] {
			return fmt.Errorf("row %d has token %d at position %d, want ascending positions of the %d tokens, each with its own", i, r.Token, r.Position, len(d.Tokens))
		}
		next = r.Position + 1
		if err := checkPath(r.Path, h); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		if n := h.rowBytes(r.Path); n > maxPayload-fullRows {
			return fmt.Errorf("row %d: its %d experts take up to %d bytes, want at most %d: no block holds it", i, len(r.Path.Expert), n, maxPayload-fullRows)
		}
		if size += words(r.Path); size > maxWords {
			return fmt.Errorf("its rows take more than %d bytes: cut it into documents", 8*maxWords)
		}
	}
	return nil
}

func checkPath(p router.Path, h Header) error {
	if len(p.Start) != h.NumLayers+1 || p.Start[0] != 0 || int(p.Start[h.NumLayers]) != len(p.Expert) || len(p.Gate) != len(p.Expert) {
		return fmt.Errorf("%d layers, %d experts and %d gates, want %d layers, and as many gates as experts", p.Layers(), len(p.Expert), len(p.Gate), h.NumLayers)
	}
	for l := range h.NumLayers {
		if n := p.Start[l+1] - p.Start[l]; n < 0 || int(n) > h.NumExperts {
			return fmt.Errorf("layer %d: %d experts, want 0 to %d", l, n, h.NumExperts)
		}
	}
	for _, e := range p.Expert {
		if e < 0 || int(e) >= h.NumExperts {
			return fmt.Errorf("expert %d, want 0 to %d", e, h.NumExperts-1)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a block whose head begins with kind and length.
func checksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:5], castagnoli), castagnoli, payload)
}

// putHead writes the head of a block into its first bytes.
func putHead(block []byte, kind byte) {
	block[0] = kind
	binary.LittleEndian.PutUint32(block[1:], uint32(len(block)-blockHead))
	binary.LittleEndian.PutUint32(block[5:], checksum(block, block[blockHead:]))
}
