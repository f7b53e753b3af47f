package link

import (
	"runtime"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Links that stop while messages come and go, both sides at once, end without a panic and leave nothing.
func TestStopInTraffic(t *testing.T) {
	if racing {
		t.Skip("the library has data races of its own")
	}
	before := runtime.NumGoroutine()
	for range 20 {
		var links []*Link
		var systems []*actor.ActorSystem
		for range 2 {
			system := newSystem()
			l, err := Start(system, plain("127.0.0.1:0"))
			if err != nil {
				t.Fatal(err)
			}
			links, systems = append(links, l), append(systems, system)
			if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(answer), "part-echo"); err != nil {
				t.Fatal(err)
			}
		}
		for i, system := range systems {
			to := actor.NewPID(links[1-i].Address(), "part-echo")
			asks(t, system, to.Address, []byte("x"))
			for range 200 {
				system.Root.Send(to, wrapperspb.Bytes(make([]byte, 32<<10)))
			}
		}
		var both sync.WaitGroup
		for _, l := range links {
			both.Go(func() { stopped(t, l) })
		}
		both.Wait()
		for _, system := range systems {
			system.Shutdown()
		}
	}
	settles(t, before+2)
}
