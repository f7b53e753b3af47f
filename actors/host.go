package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"troupe/actors/internal/stream"
	"troupe/actors/internal/wire"
	"troupe/model"
)

const (
	// beatEvery is the time between two signs of life, at most.
	beatEvery = 200 * time.Millisecond
	// defaultSilence is after how long without one a side is taken for lost.
	defaultSilence = 3 * time.Second
	// greetPatience is how long a worker may take to answer a greeting.
	greetPatience = 10 * time.Second
)

// host is a worker as a head sees it. A session with it begins with connect and ends when either side is lost or says
// so; then connect may begin another.
type host struct {
	address  string
	net      *Net
	identity string // of the checkpoint; "": the worker is only asked what it has
	config   []byte // of the model
	build    string
	silence  time.Duration
	log      *slog.Logger
	gone     func(h *host, why error) // told once a session
	source   Source                   // of the model's files, for workers that have none; nil: they need their own
	told     func(worker string, done, total int64)
	lending  sync.WaitGroup // what answers questions about files

	mu       sync.Mutex
	session  uint64 // 0: none
	desk     *actor.PID
	pid      int           // of the worker's process; 0: unknown
	machine  string        // that it is on
	begun    time.Duration // the latest session, since epoch
	brief    int           // sessions in a row that ended soon
	offers   []*wire.Offer
	asked    map[uint64]chan error // questions under way
	answerer *answerer
	number   uint64
	data     *stream.Conn  // of the session, for batches; nil: they go over the link
	forget   func()        // no more of the connection
	ended    chan struct{} // closed when the session ends
	why      error         // it ended; nil while it lasts
	leaving  atomic.Bool   // this side ends it
	signs    atomic.Int64  // of life since the last turn of watch
	trip     atomic.Int64  // of the last one, nanoseconds
	sent     atomic.Int64  // when the last one left, nanoseconds since epoch
	heard    atomic.Int64  // the last one, nanoseconds since epoch
}

// ErrLost is why a part on a worker is gone.
var ErrLost = errors.New("lost")

// deskActor takes what a worker says apart from batches.
type deskActor struct {
	host    *host
	welcome chan proto.Message // Welcome or Refused; room for one
}

func (d *deskActor) Receive(c actor.Context) {
	h := d.host
	switch m := h.net.arrived(h.address, c).(type) {
	case *wire.Welcome, *wire.Refused:
		select {
		case d.welcome <- m.(proto.Message):
		default:
			if r, ok := m.(*wire.Refused); ok {
				h.lose(c.Self(), errors.New(said(r.Reason)))
			}
		}
	case *wire.Beat:
		h.alive()
		h.trip.Store(int64(time.Since(epoch)) - h.sent.Load())
	case *wire.Bye:
		h.lose(c.Self(), fmt.Errorf("it says: %s", said(m.Reason)))
	case *wire.Done:
		h.answer(m)
	case *wire.Fetch:
		h.alive()
		if err := h.lend(m); err != nil {
			h.lose(c.Self(), err)
		}
	case *wire.Fetching:
		h.fetching(m)
	}
}

// deskNumber tells the desks of a process apart.
var deskNumber atomic.Uint64

// connect begins a session.
func (h *host) connect(ctx context.Context) error {
	g, err := h.hello(ctx)
	if err != nil {
		return err
	}
	data, err := h.dialData(ctx, g)
	if err != nil {
		h.net.send(h.net.pid(h.address, doorName), &wire.Bye{Session: g.Session, Reason: words(err.Error())})
		g.forget()
		h.net.system.Root.Stop(g.pid)
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session, h.desk, h.offers, h.forget, h.data = g.Session, g.pid, g.Offers, g.forget, data
	h.pid, h.machine, h.begun = int(g.Pid), g.Machine, time.Since(epoch)
	h.asked, h.ended, h.why = map[uint64]chan error{}, make(chan struct{}), nil
	h.beginLending()
	h.alive()
	select {
	case g.desk.welcome <- g.Welcome: // from now on a refusal ends the session
	default: // it has said more already
	}
	go h.watch(g.pid, g.Session, g.lost, h.ended)
	if data != nil {
		data.Start()
	}
	return nil
}

// alive notes a sign of life.
func (h *host) alive() {
	h.signs.Add(1)
	h.heard.Store(int64(time.Since(epoch)))
}

// self is this process, for people.
func self() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return fmt.Sprintf("%s, process %d", words(name), os.Getpid())
}

// watch sends signs of life and ends the session when none come back, or the connection ends. Silence is counted in
// its own turns: when it is this process that has been stopped for a while, nobody else is to blame.
func (h *host) watch(desk *actor.PID, session uint64, lost, ended <-chan struct{}) {
	every := beat(h.silence)
	tick := time.NewTicker(every)
	defer tick.Stop()
	door := h.net.pid(h.address, doorName)
	quiet := time.Duration(0)
	for number := uint64(1); ; number++ {
		select {
		case <-ended:
			return
		case <-lost:
			h.lose(desk, errors.New("the connection ended"))
			return
		case <-tick.C:
			if h.signs.Swap(0) > 0 {
				quiet = 0
			}
			if quiet > h.silence {
				h.lose(desk, fmt.Errorf("silent for %v", quiet))
				return
			}
			quiet += every
			h.sent.Store(int64(time.Since(epoch)))
			h.net.send(door, &wire.Beat{Session: session, Number: number})
		}
	}
}

// beat is the time between two signs of life, for a side that takes the other one for lost after so long a silence.
func beat(silence time.Duration) time.Duration {
	return max(time.Millisecond, min(beatEvery, silence/10))
}

// lose ends the session of a desk.
func (h *host) lose(desk *actor.PID, why error) {
	session := h.now()
	if h.end(desk, why) && !h.leaving.Load() {
		// One that was silent and comes back is not to wait until it finds this side silent.
		h.net.send(h.net.pid(h.address, doorName), &wire.Bye{Session: session, Reason: words(why.Error())})
		h.gone(h, why)
	}
}

// end ends the session of a desk, or the present one for nil, without telling anyone.
func (h *host) end(desk *actor.PID, why error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == 0 || desk != nil && desk != h.desk {
		return false
	}
	h.forget()
	h.net.system.Root.Stop(h.desk)
	if h.data != nil {
		h.data.End(0, &wire.Bye{Session: h.session, Reason: words(why.Error())})
	}
	h.session, h.desk, h.data, h.why = 0, nil, nil, fmt.Errorf("worker %s: %w: %w", h.address, ErrLost, why)
	close(h.ended)
	return true
}

// lost ends a session, unless another has begun since.
func (h *host) lost(session uint64, why error) {
	h.mu.Lock()
	desk := h.desk
	present := session != 0 && h.session == session
	h.mu.Unlock()
	if present {
		h.lose(desk, why)
	}
}

// whyNot is why a session is over. The caller has h.mu.
func (h *host) whyNot() error {
	if h.why == nil {
		return fmt.Errorf("worker %s: %w: the session is over", h.address, ErrLost)
	}
	return h.why
}

// now is the session, 0 for none.
func (h *host) now() uint64 {
	session, _ := h.present()
	return session
}

// present is the session, 0 for none, with its connection for batches.
func (h *host) present() (session uint64, data *stream.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session, h.data
}

// byePatience is how long a worker may take to say good-bye.
const byePatience = 500 * time.Millisecond

// bye ends the session from this side: the worker says good-bye too.
func (h *host) bye(reason string) {
	h.leaving.Store(true)
	h.mu.Lock()
	session, ended := h.session, h.ended
	h.mu.Unlock()
	if session == 0 {
		return
	}
	h.net.send(h.net.pid(h.address, doorName), &wire.Bye{Session: session, Reason: reason})
	select {
	case <-ended:
	case <-time.After(byePatience):
		h.end(nil, errors.New(reason))
	}
}

// askAgain is after how long a question is repeated. The worker knows it by its number, and does it once.
const askAgain = time.Second

// ask asks the worker for something in a session and waits for its answer. The question gets a number.
func (h *host) ask(ctx context.Context, session uint64, question func(number uint64) proto.Message) error {
	h.mu.Lock()
	if h.session == 0 || h.session != session {
		defer h.mu.Unlock()
		return h.whyNot()
	}
	h.number++
	number, reply, ended, asked := h.number, make(chan error, 1), h.ended, h.asked
	asked[number] = reply
	m := question(number)
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(asked, number)
	}()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		h.net.send(h.net.pid(h.address, doorName), m)
		select {
		case err := <-reply:
			return err
		case <-ended:
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.whyNot()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C: // a connection that ends and is made anew loses messages
		}
	}
}

// tell says something in a session whose answer nobody waits for.
func (h *host) tell(session uint64, m func(number uint64) proto.Message) {
	h.mu.Lock()
	h.number++
	number, present := h.number, session != 0 && h.session == session
	h.mu.Unlock()
	if present {
		h.net.send(h.net.pid(h.address, doorName), m(number))
	}
}

func (h *host) answer(m *wire.Done) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reply := h.asked[m.Number]; reply != nil {
		delete(h.asked, m.Number)
		if m.Error != "" {
			reply <- fmt.Errorf("worker %s: %s", h.address, said(m.Error))
			return
		}
		reply <- nil
	}
}

// offer is what the worker has under a number.
func (h *host) offer(number int) (*wire.Offer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number < 0 || number >= len(h.offers) {
		return nil, fmt.Errorf("actors: worker %s: device %d, but it offers %d: want 0 to %d", h.address, number, len(h.offers), len(h.offers)-1)
	}
	return h.offers[number], nil
}

func (e *Engine) newHost(o *Options, address string) (*host, error) {
	config, err := json.Marshal(o.Model)
	if err != nil {
		return nil, fmt.Errorf("actors: %w", err)
	}
	return &host{address: address, net: o.Net, identity: o.Identity, config: config, build: o.Build, silence: o.Silence, log: e.log, gone: e.lostHost, source: o.Lend, told: o.Fetching}, nil
}

// sameConfig tells whether a configuration that came as JSON is this one.
func sameConfig(raw []byte, c model.Config) bool {
	ours, err := json.Marshal(c)
	return err == nil && string(ours) == string(raw)
}
