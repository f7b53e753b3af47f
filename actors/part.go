package actors

import (
	"fmt"
	"time"
)

// Kind is what an actor of the pipeline is.
type Kind uint8

// All but the head, which has what nobody else knows: its end is the engine's.
const (
	StagePart Kind = iota
	RouterPart
	ExpertPart
)

// Part names an actor of the pipeline.
type Part struct {
	Kind   Kind
	Index  int // of a stage, its own or the router's; of an expert its layer
	Expert int // of an expert: which one of the layer
}

// String is how it is written in a chaos specification and in reports: stage=2, router=0, expert=3.5.
func (p Part) String() string {
	switch p.Kind {
	case StagePart:
		return fmt.Sprintf("stage=%d", p.Index)
	case RouterPart:
		return fmt.Sprintf("router=%d", p.Index)
	}
	return fmt.Sprintf("expert=%d.%d", p.Index, p.Expert)
}

// name is that of the actor; those that come in the place of one that died have the epoch in it.
func (p Part) name(epoch uint64) string {
	n := [...]string{"stage", "router", "expert"}[p.Kind] + fmt.Sprintf("-%d", p.Index)
	if p.Kind == ExpertPart {
		n += fmt.Sprintf(".%d", p.Expert)
	}
	if epoch > 0 {
		n += fmt.Sprintf("@%d", epoch)
	}
	return n
}

// Death is the end of a part by a panic.
type Death struct {
	Part    Part
	Host    string // worker that is lost; "": the part alone
	Reason  string
	Killed  bool          // on purpose
	Noticed time.Duration // after it
}

// Recovery is what came of one death, or of several at a time.
type Recovery struct {
	Deaths []Death
	// Recovered is the time from the first death until all that was lost had been computed again or was on its way again.
	Recovered time.Duration
	Replayed  int // rows that a stage has computed again to have its keys and values back: a token counts for every such stage
	Resent    int // batches that were on their way, and were sent again
	GivenUp   int // batches at which a part had died too often
}

// death is one as the keeper hears of it.
type death struct {
	Death
	at     time.Duration // since epoch
	credit *credit       // that was worked on; nil: none
	injury *Injury       // nil: it was not killed on purpose
}

// killed is the panic of a part that was told to die.
type killed struct {
	text   string
	injury *Injury
}

func (k killed) Error() string { return k.text }

// creditOf is what a message of the pipeline is about, nil for other messages.
func creditOf(message any) *credit {
	switch m := message.(type) {
	case *pass:
		return m.credit
	case *ask:
		return m.credit
	case *answer:
		return m.credit
	case *work:
		return m.credit
	case *part:
		return m.credit
	}
	return nil
}
