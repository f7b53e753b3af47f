package mirror

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
)

// Verify reads all pieces that are there again and drops those whose bytes are not what was fetched, so that the next
// Fetch gets them anew. It returns how many it dropped. Nobody may compute with the
// copy meanwhile. What a temporary copy took from a directory of this host has no sums, and is passed over.
func (v *Mirror) Verify(ctx context.Context, progress func(done, total int64)) (dropped int, err error) {
	err = v.filling(ctx, func(j *journal) error {
		sums := map[[2]int][32]byte{}
		if _, err := v.man.readJournal(filepath.Join(v.dir, journalName), func(r record) { sums[[2]int{r.file, r.piece}] = r.sum }); err != nil {
			return err
		}
		var total, done int64
		for i := range v.have {
			total += v.man.Files[i].bytes(v.have[i])
		}
		buf := make([]byte, PieceBytes)
		for i := range v.have {
			for k := range v.man.Files[i].numPieces() {
				if !v.have[i].has(k) {
					continue
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				offset, n := v.man.Files[i].piece(k)
				if sums[[2]int{i, k}] != [32]byte{} && !v.intact(i, offset, buf[:n], sums[[2]int{i, k}]) {
					if err := v.drop(j, []record{{file: i, piece: k}}); err != nil {
						return err
					}
					dropped++
				}
				if done += int64(n); progress != nil {
					progress(done, total)
				}
			}
		}
		return nil
	})
	return dropped, v.fail(err)
}

// drop takes pieces out of the journal, then out of the copy.
func (v *Mirror) drop(j *journal, list []record) error {
	if err := j.add(list); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range list {
		v.have[r.file].set(r.piece, false)
	}
	return nil
}

// intact tells whether a piece is what its sum says.
func (v *Mirror) intact(file int, offset int64, buf []byte, sum [32]byte) bool {
	f, err := os.Open(v.path(file))
	if err != nil {
		return false
	}
	defer f.Close()
	n, err := f.ReadAt(buf, offset)
	return n == len(buf) && (err == nil || err == io.EOF) && sha256.Sum256(buf) == sum
}
