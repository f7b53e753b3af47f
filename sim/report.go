package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Report is what came of a case. Times are of the simulated world.
type Report struct {
	Seconds float64 // from the first request to the last token
	// TokensPerSecond is of all streams together, while all of them have new tokens: between the last one's first token and
	// the first one's last; or of the whole run behind the first token, where there is no such time.
	TokensPerSecond float64
	Prefill         float64      // prompt tokens a second, until the last stream has its first token
	First           Distribution // seconds to the first token
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

// ledger counts what happens.
type ledger struct {
	counting bool
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

func newLedger() ledger {
	return ledger{busy: map[deviceKey]time.Duration{}, hosts: map[string]*traffic{}}
}

func (l *ledger) host(name string) *traffic {
	if l.hosts[name] == nil {
		l.hosts[name] = &traffic{}
	}
	return l.hosts[name]
}

// turn counts what a device was charged for.
func (d *driver) turn(t Turn) {
	if !d.counting {
		return
	}
	d.busy[deviceKey{t.Host, t.Device}] += t.End - t.Begin
	d.compute += t.End - t.Begin
	if d.Trace != nil {
		t.Begin, t.End = t.Begin-d.begin, t.End-d.begin
		d.Trace(t)
	}
}

// message counts what went over a link.
func (d *driver) message(m Message) {
	if !d.counting {
		return
	}
	from, to := d.host(m.From), d.host(m.To)
	from.sent, to.received = from.sent+int64(m.Bytes), to.received+int64(m.Bytes)
	from.out, to.in = from.out+m.Took, to.in+m.Took
	d.wire, d.latency, d.queue = d.wire+m.Took, d.latency+m.Latency, d.queue+m.Waited
	d.messages, d.bytes = d.messages+1, d.bytes+int64(m.Bytes)
}

func (d *driver) report() (r Report) {
	var first, last, between []float64
	var end float64
	tokens := 0
	for _, f := range d.streams {
		tokens += len(f.at)
		first, last = append(first, f.at[0].Seconds()), append(last, f.at[len(f.at)-1].Seconds())
		for i := range f.at[1:] {
			between = append(between, (f.at[i+1] - f.at[i]).Seconds())
		}
	}
	end = slices.Max(last)
	r.Seconds, r.First, r.Between, r.Events = end, distribution(first), distribution(between), d.loop.events
	r.Prefill = float64(len(d.streams)*d.Prompt) / slices.Max(first)
	r.TokensPerSecond = d.rate(slices.Max(first), slices.Min(last))
	if r.TokensPerSecond == 0 {
		r.TokensPerSecond = d.rate(slices.Min(first), end)
	}
	rounds := float64(tokens) / float64(len(d.streams))
	r.Compute, r.Wire, r.Latency, r.Queue = d.compute.Seconds()/rounds, d.wire.Seconds()/rounds, d.latency.Seconds()/rounds, d.queue.Seconds()/rounds
	r.Messages, r.Bytes = float64(d.messages)/float64(tokens), float64(d.bytes)/float64(tokens)
	r.Hosts = d.hostReports(end)
	return r
}

// fewest is how many tokens of each stream make a time that a rate is taken from.
const fewest = 4

// rate is new tokens a second from one time to another, 0 if that is too short.
func (d *driver) rate(from, to float64) float64 {
	n := 0
	for _, f := range d.streams {
		for _, at := range f.at {
			if s := at.Seconds(); s > from && s <= to {
				n++
			}
		}
	}
	if n < fewest*len(d.streams) && len(d.streams)*d.Tokens > 2*fewest*len(d.streams) || to <= from {
		return 0
	}
	return float64(n) / (to - from)
}

func (d *driver) hostReports(seconds float64) (list []HostReport) {
	for _, address := range append([]string{headAddress}, addresses(d.Plan)...) {
		h := HostReport{Address: address}
		t := d.host(address)
		h.Sent, h.Received, h.Link = t.sent, t.received, max(t.out, t.in).Seconds()/seconds
		keys := slices.SortedFunc(maps.Keys(d.busy), func(a, b deviceKey) int { return cmp.Compare(a.device, b.device) })
		for _, k := range keys {
			if k.host == address {
				h.Devices = append(h.Devices, DeviceReport{Number: k.device, Busy: d.busy[k].Seconds() / seconds})
			}
		}
		if address == headAddress {
			h.Address = ""
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
