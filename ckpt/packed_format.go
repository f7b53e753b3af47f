package ckpt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strconv"
	"strings"

	"troupe/tensor"
)

// PackedName is the file of a packed checkpoint in a model directory. It is a safetensors file, so that other
// tools can read it, with these habits:
//
//   - NAME is a float32 array, as it is; an int8 matrix is NAME.panels, int8 [panels lines 16 4], or one
//     NAME.panels.E for each expert; its scales are NAME.scales, bfloat16, as in the pickles.
//   - Panels begin at multiples of 4096 bytes of the file, other arrays at multiples of 64, so that a mapping
//     can be computed with as it is. The gaps are arrays of their own, __padding.N, as the format allows none.
//     Larger alignment gains nothing: the file is one mapping, whose huge pages need not begin with an array.
//   - __metadata__ holds format, version, what the writer adds (source and configuration), and crc32c: the
//     checksums of all arrays but the padding, 8 hexadecimal digits each, in the order of the file. A checksum
//     begins with the array's name, so that two arrays cannot change places. CRC-32C because processors have
//     it: it checks as fast as memory reads, where SHA-256 takes a core 0.5 to 2 GB/s. It finds damage, not forgery.
const PackedName = "model.troupe"

const (
	packedFormat  = "troupe packed"
	packedVersion = "1"
	paddingPrefix = "__padding."
	metaKey       = "__metadata__"
	crcKey        = "crc32c"
	crcDigits     = 8

	pageAlign  = 4096
	smallAlign = 64

	panelOutputs, lineInputs = 16, 4 // as kernels reads them, but a file stays what it is
)

// ScaleFlagsKey is the key of a packed file's metadata for Source.ScaleFlags, so that pickles made of it are those
// that it was made of.
const ScaleFlagsKey = "scale_flags"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// PanelsName is the name of a matrix in a packed file; expert is -1 for a matrix without experts.
func PanelsName(name string, expert int) string {
	if expert < 0 {
		return name + ".panels"
	}
	return name + ".panels." + strconv.Itoa(expert)
}

// ScalesName is the name of a matrix's scales in a packed file.
func ScalesName(name string) string { return name + ".scales" }

// PanelShape is the shape of a matrix [in out] in panels. Each scale group's inputs are padded to whole lines.
func PanelShape(in, out, groups int) tensor.Shape {
	lines := (in/groups + lineInputs - 1) / lineInputs
	return tensor.Shape{(out + panelOutputs - 1) / panelOutputs, groups * lines, panelOutputs, lineInputs}
}

// Array is one array of a packed file to write. Payload streams exactly the bytes of Spec, in C order and
// little-endian; it runs once, several arrays' at a time, and should return the writer's error.
type Array struct {
	Name    string
	Spec    tensor.Spec
	Payload func(w io.Writer) error
}

// packedEntry is an array of a packed file.
type packedEntry struct {
	name   string
	dtype  string
	shape  tensor.Shape
	lo, hi int64 // bytes, from the beginning of the data
}

func (e packedEntry) padding() bool { return strings.HasPrefix(e.name, paddingPrefix) }

var packedTypes = map[tensor.DType]string{tensor.F32: "F32", tensor.BF16: "BF16", tensor.I8: "I8"}

// packedLayout gives every array its place. The entries are the arrays and the padding between them.
func packedLayout(arrays []Array) ([]packedEntry, error) {
	var entries []packedEntry
	at, gaps := int64(0), 0
	seen := map[string]bool{}
	for _, a := range arrays {
		size, err := a.Spec.Bytes()
		dtype, known := packedTypes[a.Spec.DType]
		switch {
		case err != nil:
			return nil, &Error{File: PackedName, Tensor: a.Name, Err: err}
		case !known || size == 0 || size > math.MaxInt64/4-at:
			return nil, &Error{File: PackedName, Tensor: a.Name, Err: fmt.Errorf("%v cannot be written", a.Spec)}
		case seen[a.Name] || strings.HasPrefix(a.Name, "__"):
			return nil, &Error{File: PackedName, Tensor: a.Name, Err: errors.New("this name is taken")}
		}
		seen[a.Name] = true
		align := int64(smallAlign)
		if a.Spec.DType == tensor.I8 {
			align = pageAlign
		}
		if gap := -at & (align - 1); gap > 0 {
			name := paddingPrefix + strconv.Itoa(gaps)
			entries = append(entries, packedEntry{name, "U8", tensor.Shape{int(gap)}, at, at + gap})
			at, gaps = at+gap, gaps+1
		}
		entries = append(entries, packedEntry{a.Name, dtype, a.Spec.Shape, at, at + size})
		at += size
	}
	return entries, nil
}

// packedHeader is everything before the data: its length, JSON in the order of the file, spaces up to a page.
func packedHeader(entries []packedEntry, meta map[string]string, sums string) ([]byte, error) {
	all := map[string]string{}
	for k, v := range meta {
		all[k] = v
	}
	all["format"], all["version"], all[crcKey] = packedFormat, packedVersion, sums
	b := make([]byte, 8, 4096)
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	b = fmt.Appendf(b, `{"%s":%s`, metaKey, text)
	for _, e := range entries {
		name, err := json.Marshal(e.name)
		if err != nil {
			return nil, err
		}
		shape, err := json.Marshal([]int(e.shape))
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, ",\n%s:{\"dtype\":%q,\"shape\":%s,\"data_offsets\":[%d,%d]}", name, e.dtype, shape, e.lo, e.hi)
	}
	b = append(b, '}')
	for len(b)%pageAlign != 0 {
		b = append(b, ' ')
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// headerLimit bounds the header that is read for a model, so that no file can ask for more memory.
func headerLimit(wants []Want) int64 {
	const fixed, entry = 256 << 10, 256
	limit := int64(fixed)
	for _, w := range wants {
		arrays := 2 // matrix and scales
		if len(w.Shape) == 3 {
			arrays = 1 + w.Shape[0]
		}
		limit += int64(2*arrays) * int64(entry+len(w.Name)) // each with padding
	}
	return limit
}
