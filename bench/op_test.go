package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"troupe/kernels"
)

// smallOp measures an op in no time, by the plain and the portable library.
func smallOp(t *testing.T, op kernels.Op, a kernels.Arith) OpOptions {
	t.Helper()
	o := OpOptions{Op: op, Arith: a, Rows: []int{1, 5}, Threads: 2, Repetitions: 2, SampleTime: time.Microsecond,
		ProbeTime: time.Microsecond, ProbeBytes: 1 << 20,
		Shape: Shape{In: 40, Out: 24, Groups: 2, Heads: 4, KVHeads: 2, KeySize: 6, Context: 21, Experts: 3}}
	for _, name := range []string{"ref", "cpu/generic"} {
		v, err := kernels.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		o.Variants = append(o.Variants, v)
	}
	return o
}

// TestRunOp measures every op in every arithmetic, with every kind of matrix.
func TestRunOp(t *testing.T) {
	for op := range kernels.NumOps {
		for _, a := range []kernels.Arith{kernels.Int8, kernels.Exact, kernels.Reference} {
			o := smallOp(t, op, a)
			o.Shape.Raw, o.Shape.Float = a == kernels.Exact, a == kernels.Reference
			r, err := RunOp(t.Context(), o)
			if err != nil {
				t.Errorf("%v, %v: %v", op, a, err)
				continue
			}
			checkStat(t, "bandwidth", r.ReadBandwidth)
			if len(r.Results) != 4 || r.Incomplete || r.Op != op.String() || r.Arith != a.String() {
				t.Fatalf("%v: %+v", op, r)
			}
			for i, one := range r.Results {
				checkStat(t, op.String(), one.Micros)
				if one.Rows != o.Rows[i/2] || one.Kernels != o.Variants[i%2].Name || one.Bytes <= 0 || one.BandwidthShare <= 0 || (one.MACs > 0) != (one.PeakShare > 0) {
					t.Errorf("%v: %+v", op, one)
				}
			}
		}
	}
}

// TestOpWork counts by hand.
func TestOpWork(t *testing.T) {
	for _, test := range []struct {
		op          kernels.Op
		macs, bytes int64
	}{
		{kernels.Linear, 3 * 40 * 24, 2*(10+0)*64 + 4*2*24 + 4*3*(40+24)}, // two panels of 2*5 lines
		{kernels.Attend, 3 * 2 * 24 * 21, 2*2*2*6*32*2/2 + 4*3*(24+12+12+24)},
		{kernels.RMSNorm, 0, 4*40 + 4*3*80},
		{kernels.Embed, 0, 4*3*40 + 4*3*40},
		{kernels.Head, 3 * 40 * 24, 2*10*64 + 4*24 + 4*3*(40+24)}, // int8, as the engine has it
	} {
		o := smallOp(t, test.op, kernels.Int8)
		w, err := newOpWork(&o, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer w.arena.Close()
		if w.macs != test.macs || w.bytes != test.bytes || len(w.calls) != 1 {
			t.Errorf("%v: %d multiply-adds, %d bytes, %d copies, want %d, %d, 1", test.op, w.macs, w.bytes, len(w.calls), test.macs, test.bytes)
		}
	}
	for op, want := range map[kernels.Op]int{kernels.Attend: 7, kernels.Linear: 8, kernels.Combine: 1} {
		o := smallOp(t, op, kernels.Int8)
		o.Cold, o.ColdBytes = true, 9000 // 1536 and 1472 bytes
		w, err := newOpWork(&o, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer w.arena.Close()
		if len(w.calls) != want || w.calls[want-1].Layer != want-1 {
			t.Errorf("%v: %d copies, want %d", op, len(w.calls), want)
		}
	}
}

func TestRunOpRefuses(t *testing.T) {
	o := smallOp(t, kernels.Linear, kernels.Int8)
	o.Shape.Groups = 7
	if _, err := RunOp(t.Context(), o); err == nil || !strings.Contains(err.Error(), "7 scale groups over 40 inputs") {
		t.Errorf("groups: %v", err)
	}
	o = smallOp(t, kernels.Attend, kernels.Int8)
	o.Rows = []int{22}
	if _, err := RunOp(t.Context(), o); err == nil || !strings.Contains(err.Error(), "22 rows in a context of 21") {
		t.Errorf("rows: %v", err)
	}
	o = smallOp(t, kernels.Add, kernels.Int8)
	o.Variants[1].Open = func(kernels.Threads) (kernels.Library, error) { return nil, fmt.Errorf("shut") }
	if _, err := RunOp(t.Context(), o); err == nil || err.Error() != "cpu/generic: shut" {
		t.Errorf("a library that does not open: %v", err)
	}
}

func TestRunOpStopped(t *testing.T) {
	o := smallOp(t, kernels.Add, kernels.Int8)
	o.Repetitions = 1000
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Progress = func(done, _ int) {
		if done == 3 {
			cancel(why)
		}
	}
	r, err := RunOp(ctx, o)
	if !errors.Is(err, why) || r == nil || !r.Incomplete || len(r.Results) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}
