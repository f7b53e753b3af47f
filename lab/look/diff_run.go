package look

import (
	"io"

	"troupe/lab/trace"
)

// Count adds a document to the loads of one run.
func Count(c *Counts, doc *trace.Doc) {
	for i := range doc.Rows {
		c.Add(doc.Rows[i].Path)
	}
}

// maxWaiting bounds the documents that wait for the other run's, in words of 8 bytes.
const maxWaiting = 1 << 25

// source is one run of two.
type source struct {
	next    func() (*trace.Doc, error)
	counts  *Counts
	waiting map[string][]*trace.Doc // by id: those that the other run did not have yet
	err     error                   // its end
}

// Run reads both runs to their ends, counts them, and compares the documents with the same ID: the n-th of an ID with
// the n-th of the other. They may come in different orders; so many may wait for the other run's as take 256 MiB, and
// what is beyond is counted and not compared. It returns the first error of a run other than io.EOF, when all has been
// counted that could be read.
func (d *Diff) Run(a, b func() (*trace.Doc, error)) error {
	runs := [2]*source{{next: a, counts: d.A, waiting: map[string][]*trace.Doc{}}, {next: b, counts: d.B, waiting: map[string][]*trace.Doc{}}}
	words := 0
	for runs[0].err == nil || runs[1].err == nil {
		for i, r := range runs {
			if r.err != nil {
				continue
			}
			var doc *trace.Doc
			if doc, r.err = r.next(); doc == nil {
				continue
			}
			Count(r.counts, doc)
			other := runs[1-i].waiting
			if queue := other[doc.ID]; len(queue) > 0 {
				pair := [2]*trace.Doc{doc, queue[0]}
				d.Compare(pair[i], pair[1-i])
				words -= size(queue[0])
				if other[doc.ID] = queue[1:]; len(queue) == 1 {
					delete(other, doc.ID)
				}
			} else if words+size(doc) <= maxWaiting {
				words += size(doc)
				r.waiting[doc.ID] = append(r.waiting[doc.ID], doc)
			}
		}
	}
	for _, r := range runs {
		if r.err != io.EOF {
			return r.err
		}
	}
	return nil
}

// size is about the memory of a document, in words.
func size(d *trace.Doc) int {
	n := 64 + (len(d.Text)+len(d.Tokens))/2
	for i := range d.Rows {
		n += 11 + len(d.Rows[i].Path.Expert)
	}
	return n
}
