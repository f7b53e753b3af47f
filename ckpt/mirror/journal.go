package mirror

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// The journal of pieces: a line of text, then records of one size. A record is the file and the piece (uint32), what
// happened to it (1 byte, 3 of zeros), its SHA-256, and a CRC-32C of all that; little-endian.
const (
	journalHead = "troupe pieces 1\n"
	recordBytes = 48

	pieceHere = 1
	pieceGone = 2
)

// record is what the journal says of a piece.
type record struct {
	file, piece int
	here        bool
	sum         [32]byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r record) append(b []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.file))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.piece))
	kind := byte(pieceGone)
	if r.here {
		kind = pieceHere
	}
	b = append(b, kind, 0, 0, 0)
	b = append(b, r.sum[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// parseRecord is false for what is torn, damaged, or about no piece of the manifest.
func (m *Manifest) parseRecord(b []byte) (r record, ok bool) {
	body, kind := b[:recordBytes-4], b[8]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[recordBytes-4:]) || kind != pieceHere && kind != pieceGone {
		return r, false
	}
	file, piece := int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))
	if file >= int64(len(m.Files)) || piece >= int64(m.Files[file].numPieces()) {
		return r, false
	}
	r = record{file: int(file), piece: int(piece), here: kind == pieceHere}
	copy(r.sum[:], b[12:])
	return r, true
}

// readJournal hands on the records of a journal up to the first that is not whole, and returns where that begins. A
// file that is no journal counts as an empty one.
func (m *Manifest) readJournal(path string, each func(record)) (end int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	r := io.NewSectionReader(f, 0, info.Size())
	head := make([]byte, len(journalHead))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != journalHead {
		return 0, nil
	}
	end = int64(len(head))
	block := make([]byte, recordBytes*1024)
	for {
		n, err := io.ReadFull(r, block)
		for b := range bytesOf(block[:n], recordBytes) {
			one, ok := m.parseRecord(b)
			if !ok {
				return end, nil
			}
			each(one)
			end += recordBytes
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
	}
}

// bytesOf yields the whole runs of n bytes.
func bytesOf(b []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) >= n; b = b[n:] {
			if !yield(b[:n]) {
				return
			}
		}
	}
}

// journal is open for writing, by the one process that fills.
type journal struct {
	f    *os.File
	sync bool // bring what is written to disk
}

// openJournal opens a journal at the end of its whole records; what is behind is cut off.
func openJournal(path string, end int64, sync bool) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(end); err == nil && end == 0 {
		_, err = f.WriteAt([]byte(journalHead), 0)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{f, sync}, nil
}

func (j *journal) add(list []record) error {
	var b bytes.Buffer
	for _, r := range list {
		b.Write(r.append(nil))
	}
	_, err := j.f.Write(b.Bytes())
	if err == nil && j.sync {
		err = j.f.Sync()
	}
	return err
}

func (j *journal) close() error { return j.f.Close() }
