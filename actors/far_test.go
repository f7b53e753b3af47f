package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"troupe/internal/toy"
	"troupe/kernels"
	"troupe/model"
	"troupe/stages"
	"troupe/stages/place"
)

// company is a head's side and workers in one process and one actor system.
type company struct {
	net     *Net
	config  model.Config
	workers []*Worker
	w       stages.Weights
}

func newCompany(t *testing.T, w stages.Weights, workers int) *company {
	return newCompanyOf(t, toy.Config(), w, workers)
}

func newCompanyOf(t *testing.T, config model.Config, w stages.Weights, workers int) *company {
	t.Helper()
	system := newSystem()
	c := &company{config: config, net: newLocalNet(system, "head"), w: w}
	t.Cleanup(system.Shutdown)
	for i := range workers {
		c.workers = append(c.workers, c.hire(t, i))
	}
	return c
}

// hire opens a worker.
func (c *company) hire(t testing.TB, i int) *Worker {
	t.Helper()
	worker, err := NewWorker(WorkerOptions{Net: newLocalNet(c.net.system, address(i)), Model: c.config, Load: c.load, Identity: "toy", Build: "test",
		Devices: []Offered{{Device: place.Device{Name: "cpu", Threads: 1}}, {Device: place.Device{Name: "cpu", Threads: 2}}},
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fire(t, worker) })
	return worker
}

func (c *company) load(context.Context, []stages.Span, func(int, int) bool) (stages.Weights, func() error, error) {
	return c.w, func() error { return nil }, nil
}

func fire(t testing.TB, w *Worker) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Close(ctx, "the test is over"); err != nil {
		t.Error(err)
	}
}

func address(i int) string { return fmt.Sprintf("w%d:1", i) }

// far arranges the toy with devices on workers: as many as there are, two each, after those of this process.
func (c *company) far(t testing.TB, l layout, arith kernels.Arith) Options {
	o := l.options(t, c.w, arith, "")
	o.Net, o.Identity, o.Build = c.net, "toy", "test"
	for i := range o.Placement.Devices {
		if i%4 != 3 {
			o.Placement.Devices[i].Host, o.Placement.Devices[i].Number = address(i%len(c.workers)), i/len(c.workers)
		}
	}
	return o
}

// Stages and experts on workers leave the bits unchanged.
func TestSameBitsOnWorkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	for _, arith := range []kernels.Arith{kernels.Exact, kernels.Int8} {
		storage := toy.Int8
		if arith == kernels.Exact {
			storage = toy.Float32
		}
		w := toy.Weights(toy.Config(), storage, 1)
		want := loopOutcomes(t, w, arith)
		for _, l := range sampleLayouts(rng, share(12)) {
			t.Run(fmt.Sprintf("%v/%v", arith, l), func(t *testing.T) {
				c := newCompany(t, w, 2)
				l.devices = min(l.devices, 4)
				e := start(t, c.far(t, l, arith))
				compare(t, serve(t, e, asks(t)), want)
				if err := stop(e); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A worker that ends takes stages and experts with it: a spare takes over, and no bit changes.
func TestWorkerLost(t *testing.T) {
	w := toy.Weights(toy.Config(), toy.Int8, 1)
	want := loopOutcomes(t, w, kernels.Int8)
	for _, spread := range []bool{false, true} {
		t.Run(fmt.Sprintf("spread=%v", spread), func(t *testing.T) {
			c := newCompany(t, w, 3)
			o := c.far(t, layout{stages: 3, devices: 2, threads: 1, spread: spread, batches: 4, rows: 7, sequences: 8}, kernels.Int8)
			o.Placement.Devices[1].Number = 0
			o.Spare = []place.Device{{Name: "cpu", Host: address(2)}}
			e := start(t, o)
			for i := range 3 {
				go func() {
					time.Sleep(2 * time.Millisecond)
					fire(t, c.workers[i%2])
					c.workers[i%2] = c.hire(t, i%2)
				}()
				compare(t, serve(t, e, asks(t)), want)
			}
			if l := e.Losses(); l.Deaths == 0 {
				t.Error("nobody has died")
			}
		})
	}
}
