package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"troupe/actors"
	"troupe/kernels"
	"troupe/stages/place"
)

// Report is what came of a case. Times are of the simulated world.
type Report struct {
	Seconds float64      // from the first request to the last token
	Prefill float64      // prompt tokens a second, until the last stream has its first token
	First   Distribution // seconds to the first token

	// What follows is of the steady state: all streams have their first token, and none has its last. Where that is too short
	// (Steady is false) it is of everything from the first token on, and Hosts of the whole run.
	Steady          bool
	TokensPerSecond float64      // of all streams together
	Between         Distribution // seconds from a token of a stream to the next
	Hosts           []HostReport // the head's first
	// What a token waits for, in seconds, as sums over all that happens divided by rounds of a stream: what goes on at the same
	// time counts each.
	Compute, Wire, Latency, Queue float64
	Messages                      float64 // for each token
	Bytes                         float64 // on links, for each token
	Events                        uint64  // that were simulated
}

// Distribution is of a quantity over the run.
type Distribution struct{ P50, P99 float64 }

// HostReport is what a host did of the time.
type HostReport struct {
	Address  string // "": the head's
	Devices  []DeviceReport
	Sent     int64   // bytes
	Received int64   // bytes
	Link     float64 // share of the time that its busier direction carried bytes
}

// DeviceReport is one device's share of the time at work.
type DeviceReport struct {
	Number int
	Busy   float64
}

// ledger counts what happens in a stretch of time.
type ledger struct {
	from, to time.Duration
	open     bool
	busy     map[deviceKey]time.Duration
	hosts    map[string]*traffic
	compute  time.Duration
	wire     time.Duration
	latency  time.Duration
	queue    time.Duration
	messages int
	bytes    int64
}

type deviceKey struct {
	host   string
	device int
}

type traffic struct {
	sent, received int64
	out, in        time.Duration
}

func newLedger() *ledger {
	return &ledger{busy: map[deviceKey]time.Duration{}, hosts: map[string]*traffic{}}
}

func (l *ledger) begin(now time.Duration) { l.from, l.open = now, true }

func (l *ledger) end(now time.Duration) {
	if l.open {
		l.to, l.open = now, false
	}
}

func (l *ledger) host(name string) *traffic {
	if l.hosts[name] == nil {
		l.hosts[name] = &traffic{}
	}
	return l.hosts[name]
}

func (l *ledger) turn(t Turn) {
	if l.open {
		l.busy[deviceKey{t.Host, t.Device}] += t.End - t.Begin
		l.compute += t.End - t.Begin
	}
}

func (l *ledger) message(m Message) {
	if !l.open {
		return
	}
	from, to := l.host(m.From), l.host(m.To)
	from.sent, to.received = from.sent+int64(m.Bytes), to.received+int64(m.Bytes)
	from.out, to.in = from.out+m.Took, to.in+m.Took
	l.wire, l.queue = l.wire+m.Took, l.queue+m.Waited
	if m.Kind != "Routed" && m.Kind != "Rows" { // those go ahead of a message that a batch waits for
		l.latency += m.Latency
	}
	l.messages, l.bytes = l.messages+1, l.bytes+int64(m.Bytes)
}

// turn counts what a device was charged for.
func (d *driver) turn(t Turn) {
	d.all.turn(t)
	d.steady.turn(t)
	if d.Trace == nil || !d.all.open {
		return
	}
	x := actors.Turn{Device: d.device(t.Host, t.Device), Stage: -1, Layer: max(t.Call.Layer, 0), Expert: -1, Rows: t.Rows, Begin: t.Begin - d.begin, End: t.End - d.begin}
	if t.Op == kernels.Expert {
		x.Expert = d.expert[t.Call.Weights[0]]
	} else {
		if t.Op == kernels.Head {
			x.Layer = d.Model.Model.NumLayers
		}
		x.Stage = slices.IndexFunc(d.Plan.Stages, func(s place.Stage) bool {
			return x.Layer < s.Span.Hi || x.Layer == d.Model.Model.NumLayers && s.Span.Hi == x.Layer
		})
	}
	d.Trace(x)
}

// message counts what went over a link.
func (d *driver) message(m Message) {
	d.all.message(m)
	d.steady.message(m)
}

// fewest is how many tokens of each stream make a steady state.
const fewest = 4

func (d *driver) report() (r Report) {
	var first, last []float64
	for _, f := range d.streams {
		first, last = append(first, f.at[0].Seconds()), append(last, f.at[len(f.at)-1].Seconds())
	}
	from, to, l := slices.Max(first), slices.Min(last), d.steady
	tokens, between := d.within(from, to)
	if r.Steady = tokens >= fewest*len(d.streams); !r.Steady {
		from, to, l = slices.Min(first), slices.Max(last), d.all
		tokens, between = d.within(from, to)
	}
	r.Seconds, r.Events = slices.Max(last), d.loop.events
	r.Prefill = float64(len(d.streams)*d.Prompt) / slices.Max(first)
	r.First, r.Between = distribution(first), distribution(between)
	if to > from {
		r.TokensPerSecond = float64(tokens) / (to - from)
	}
	n := max(1, float64(tokens))
	rounds := n / float64(len(d.streams))
	r.Compute, r.Wire, r.Latency, r.Queue = l.compute.Seconds()/rounds, l.wire.Seconds()/rounds, l.latency.Seconds()/rounds, l.queue.Seconds()/rounds
	r.Messages, r.Bytes = float64(l.messages)/n, float64(l.bytes)/n
	r.Hosts = d.hostReports(l)
	return r
}

// within counts tokens of all streams behind a time and up to another one, with the times between those of a stream.
func (d *driver) within(from, to float64) (tokens int, between []float64) {
	for _, f := range d.streams {
		for i, at := range f.at {
			if s := at.Seconds(); s <= from || s > to {
				continue
			}
			tokens++
			if i > 0 && f.at[i-1].Seconds() >= from {
				between = append(between, (at - f.at[i-1]).Seconds())
			}
		}
	}
	return tokens, between
}

func (d *driver) hostReports(l *ledger) (list []HostReport) {
	seconds := (l.to - l.from).Seconds()
	keys := slices.SortedFunc(maps.Keys(l.busy), func(a, b deviceKey) int { return cmp.Compare(a.device, b.device) })
	for _, address := range append([]string{headAddress}, addresses(d.Plan)...) {
		t := l.host(address)
		h := HostReport{Address: address, Sent: t.sent, Received: t.received, Link: max(t.out, t.in).Seconds() / seconds}
		if address == headAddress {
			h.Address = ""
		}
		for _, k := range keys {
			if k.host == address {
				h.Devices = append(h.Devices, DeviceReport{Number: k.device, Busy: l.busy[k].Seconds() / seconds})
			}
		}
		list = append(list, h)
	}
	return list
}

func distribution(v []float64) Distribution {
	if len(v) == 0 {
		return Distribution{}
	}
	slices.Sort(v)
	at := func(p float64) float64 { return v[min(len(v)-1, int(p*float64(len(v))))] }
	return Distribution{at(0.5), at(0.99)}
}
