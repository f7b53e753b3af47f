package sim

import (
	"time"

	"troupe/actors"
)

// link is one direction from a host to another. Messages keep their order.
type link struct {
	id     uint64
	number uint64
	last   time.Duration // arrival of the last message
	down   bool          // what is sent is lost
	life   int           // counts losses: what was on the way then is lost
	stuck  bool          // nothing gets through for now
	queue  []func()      // what waits for that to end
	slow   time.Duration // more latency
}

func (w *World) link(from, to string) *link {
	key := [2]string{from, to}
	l := w.links[key]
	if l == nil {
		l = &link{id: mix(w.known(from).id<<32 + w.known(to).id)}
		w.links[key] = l
	}
	return l
}

// Carry takes a message over a link: it waits for those before it, and takes its bytes' time and the latency.
func (w *World) Carry(from, to string, p actors.Parcel, deliver func()) {
	if w.o.Aside && !p.Batch {
		deliver()
		return
	}
	if p.Batch { // it comes from a lane, which nobody disturbs
		w.send(from, to, p, deliver)
		return
	}
	w.mu.Lock()
	id := w.link(from, to).id
	w.mu.Unlock()
	w.loop.After(0, id, p.Key, func() { w.send(from, to, p, deliver) })
}

func (w *World) send(from, to string, p actors.Parcel, deliver func()) {
	if h := w.host(from); h.hold(func() { w.send(from, to, p, deliver) }) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	sender, receiver, l := w.known(from), w.known(to), w.link(from, to)
	there, alive := sender.lives()
	here, heard := receiver.lives()
	if !alive || !heard || l.down {
		return
	}
	now, life := w.loop.Now(), l.life
	is := Link{}
	if w.o.Link != nil {
		is = w.o.Link(from, to)
	}
	bytes := p.Bytes
	if w.o.Bytes != nil {
		bytes = w.o.Bytes(p)
	}
	out, in := per(bytes, is.From), per(bytes, is.To)
	begin := max(now, sender.out, receiver.in-is.Latency-l.slow)
	sender.out = begin + out + is.Message
	end := begin + max(out, in) + is.Message + is.Latency + l.slow
	receiver.in = begin + in + is.Message + is.Latency + l.slow
	l.last = max(end, l.last+1)
	if w.o.Sent != nil {
		w.o.Sent(Message{Kind: p.Kind, From: from, To: to, Bytes: bytes, Waited: begin - now, Took: max(out, in) + is.Message, Latency: is.Latency + l.slow})
	}
	l.number++
	arrive := func() {
		if receiver.hold(func() { w.arrive(l, life, sender, there, receiver, here, deliver) }) {
			return
		}
		w.arrive(l, life, sender, there, receiver, here, deliver)
	}
	w.loop.After(l.last-now, l.id, l.number, func() { w.through(l, arrive) })
}

// through has a message arrive, or wait on a link that is stuck.
func (w *World) through(l *link, arrive func()) {
	w.mu.Lock()
	if l.stuck {
		l.queue = append(l.queue, arrive)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	arrive()
}

// arrive delivers what has not been lost on the way.
func (w *World) arrive(l *link, life int, from *host, there int, to *host, here int, deliver func()) {
	w.mu.Lock()
	lost := l.life != life
	w.mu.Unlock()
	sent, _ := from.lives()
	now, alive := to.lives()
	if lost || sent != there || now != here || !alive {
		return
	}
	deliver()
}

// both does something with the links between two hosts, in both directions.
func (w *World) both(a, b string, f func(*link)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.link(a, b))
	f(w.link(b, a))
}

// Lose has everything lost that is on the way between two hosts, or sent from now on, until the returned function is
// called: a connection has broken, and those at its ends have not all heard of it.
func (w *World) Lose(a, b string) (mend func()) {
	w.both(a, b, func(l *link) { l.down = true; l.life++ })
	return func() { w.both(a, b, func(l *link) { l.down = false }) }
}

// Stick keeps everything back between two hosts until the returned function is called: packets are lost, and the
// connection sends them again until they come through.
func (w *World) Stick(a, b string) (release func()) {
	w.both(a, b, func(l *link) { l.stuck = true })
	return func() {
		w.loop.After(0, w.host(a).id, w.host(b).id, func() {
			var queued []func()
			w.both(a, b, func(l *link) {
				queued = append(queued, l.queue...)
				l.stuck, l.queue = false, nil
			})
			for _, arrive := range queued { // all in one event: nothing may come in between
				arrive()
			}
		})
	}
}

// Slow adds to the latency between two hosts.
func (w *World) Slow(a, b string, more time.Duration) {
	w.both(a, b, func(l *link) { l.slow = more })
}

// per is the time of so many bytes at so many a second.
func per(bytes int, rate float64) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(bytes) / rate * float64(time.Second))
}
