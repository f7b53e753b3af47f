package look

import (
	"fmt"

	"troupe/lab/trace"
)

// Domains are the loads of all documents, and of each domain. Use [NewDomains].
type Domains struct {
	All   *Counts
	Names []string // in the order of their first document; "" for documents without one
	of    map[string]*Counts
}

// NewDomains are those of no document.
func NewDomains(layers, experts int) (*Domains, error) {
	all, err := NewCounts(layers, experts)
	return &Domains{All: all, of: map[string]*Counts{}}, err
}

// Of are the loads of a domain; nil for one that is not there.
func (d *Domains) Of(name string) *Counts { return d.of[name] }

// Add counts a document. It fails when there are more domains than fit the memory.
func (d *Domains) Add(doc *trace.Doc) error {
	c := d.of[doc.Domain]
	if c == nil {
		if cells := d.All.Layers * d.All.Experts; (len(d.of)+2)*cells > maxCells {
			return fmt.Errorf("look: %d domains of %d experts, want at most %d experts in all: are these labels of domains?", len(d.of)+1, cells, maxCells)
		}
		c, _ = NewCounts(d.All.Layers, d.All.Experts) // as large as All
		d.of[doc.Domain] = c
		d.Names = append(d.Names, doc.Domain)
	}
	for i := range doc.Rows {
		c.Add(doc.Rows[i].Path)
		d.All.Add(doc.Rows[i].Path)
	}
	return nil
}
