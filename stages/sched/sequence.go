package sched

import (
	"slices"

	"troupe/router"
	"troupe/stages"
	"troupe/stages/sample"
)

// layout is how a request lies in the cache and in batches.
type layout struct {
	first     int  // leading pad tokens
	whole     bool // there are some: the rows of the prompt run in one batch
	rows      int  // of the prompt
	draws     int  // rows of the prompt whose logits are wanted
	positions int  // of the cache, for prompt and new tokens
}

// layoutOf lays a request out. Leading pads have no key, so their rows average the values of the whole
// bucket, as in the reference (kernels.Rows.Keyless): these values must be written before they are read,
// hence in the same batch, up to the bucket's end. The last new token is never fed, nor is the last
// prompt token when the others are to predict it.
func (c Config) layoutOf(r Request) layout {
	var p layout
	n := len(r.Prompt)
	for p.first < n && r.Prompt[p.first] == int32(c.Model.PadToken) {
		p.first++
	}
	switch r.Mode {
	case Generate:
		p.rows, p.draws, p.positions = n, 1, n+r.MaxTokens-1
	case Score:
		p.rows, p.draws, p.positions = max(n-1, 1), n-1, max(n-1, 1)
	case Logits:
		p.rows, p.draws, p.positions = n, n, n
	}
	if p.first > 0 {
		p.whole, p.rows = true, c.bucket(n)
		p.positions = max(p.positions, p.rows)
	}
	return p
}

// sequence is a request with its state. The structs are used again.
type sequence struct {
	layout
	id     ID
	prompt []int32
	params sample.Params
	policy router.Policy
	eos    int32
	mode   Mode
	most   int // new tokens
	trace  bool

	table []int32 // cache blocks
	skip  []int32 // positions that are no keys for prompt rows

	again    int     // new tokens that the request came with: their rows follow those of the prompt
	sent     int     // rows of the prompt, and of these tokens, put in batches
	back     int     // such rows that came back
	made     int     // new tokens
	tokens   []int32 // these
	told     int     // events
	inFlight int     // batches with rows of it
	over     bool    // nothing more is wanted of it
	deaths   int     // of parts, at rows of it that were computed again
	blamed   bool    // these were too many

	routing []router.RowRouting // of rows that came back, not yet told

	since, latest uint64 // generations of its first batch, and of the last one that came back or was replayed
}

// start prepares a used or new struct for a request.
func (q *sequence) start(id ID, r Request, p layout, pad int32) {
	*q = sequence{layout: p, id: id, params: r.Params, policy: r.Policy, eos: r.EOS, mode: r.Mode, most: r.MaxTokens, trace: r.Trace,
		prompt: append(q.prompt[:0], r.Prompt...), table: q.table[:0], skip: q.skip[:0],
		tokens: append(slices.Grow(q.tokens[:0], r.MaxTokens), r.Made...), again: len(r.Made), made: len(r.Made)}
	for i := p.first; i < max(p.rows, len(r.Prompt)); i++ {
		if q.token(i, pad) == pad {
			q.skip = append(q.skip, int32(i))
		}
	}
}

// token is the prompt's at a position, and pad behind its end.
func (q *sequence) token(i int, pad int32) int32 {
	if i < len(q.prompt) {
		return q.prompt[i]
	}
	return pad
}

// given counts the rows that need no token to be drawn first: those of the prompt, and of the new tokens that the
// request came with.
func (q *sequence) given() int { return q.rows + q.again }

// givenRow is one of these rows, and what is wanted of it.
func (q *sequence) givenRow(i int, pad int32) (row stages.Row, draw stages.Draw, wanted bool) {
	if i < q.rows {
		draw, wanted = q.promptDraw(i)
		return q.promptRow(i, pad), draw, wanted
	}
	row, draw = q.decodeRow(i - q.rows)
	return row, draw, i == q.given()-1
}

// promptRow is the row of a position in the prompt, or in its bucket.
func (q *sequence) promptRow(i int, pad int32) stages.Row {
	row := stages.Row{Token: q.token(i, pad), Pos: int32(i), First: int32(q.first), Prompt: true, Pad: i >= len(q.prompt)}
	if i < q.first || q.whole && q.first == len(q.prompt) { // nothing but pads up to here
		row.Keyless = int32(q.rows)
	}
	return row
}

// promptDraw says what is wanted of a position of the prompt.
func (q *sequence) promptDraw(i int) (d stages.Draw, wanted bool) {
	d.Position = i + 1
	switch q.mode {
	case Generate:
		d.Kind, d.Params = stages.Sample, q.params
		return d, q.again == 0 && i == len(q.prompt)-1
	case Score:
		d.Kind = stages.Score
		if wanted = i < len(q.prompt)-1; wanted {
			d.Target = q.prompt[i+1]
		}
		return d, wanted
	}
	d.Kind = stages.Logits
	return d, i < len(q.prompt)
}

// chunk is how many of the rows that are given fit beside what a batch already has. New tokens that lie where a bucket
// has pads go in a batch behind it.
func (q *sequence) chunk(b *stages.Batch) int {
	rows, draws := b.Room()
	if q.whole && q.sent < q.rows {
		if q.rows-q.sent > rows || q.again == 0 && q.draws > draws {
			return 0
		}
		return q.rows - q.sent
	}
	left := q.given() - q.sent
	n := min(rows, left)
	switch {
	case q.mode != Generate && q.draws > 0: // every row is drawn from
		n = min(n, draws)
	case q.mode == Generate && n == left && draws == 0: // the last one is
		n--
	}
	return n
}

// decodeRow feeds a new token, by its number; its logits give the next one.
func (q *sequence) decodeRow(i int) (stages.Row, stages.Draw) {
	return q.newRow(i), stages.Draw{Kind: stages.Sample, Position: len(q.prompt) + i + 1, Step: i + 1, Params: q.params}
}

// newRow is the row that feeds a new token, by its number.
func (q *sequence) newRow(i int) stages.Row {
	return stages.Row{Token: q.tokens[i], Pos: int32(len(q.prompt) + i), First: int32(q.first)}
}

// routed takes the routing of the rows up to a position that has not been told yet.
func (q *sequence) routed(last int) []router.RowRouting {
	n := 0
	for n < len(q.routing) && q.routing[n].Position <= last {
		n++
	}
	rows := q.routing[:n:n]
	if q.routing = q.routing[n:]; len(q.routing) == 0 {
		q.routing = nil
	}
	if n == 0 {
		return nil
	}
	return rows
}
