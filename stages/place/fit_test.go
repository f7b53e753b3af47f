package place

import (
	"fmt"
	"math"
	"testing"

	"troupe/internal/toy"
	"troupe/model"
	"troupe/stages"
)

func TestGrok1Fits(t *testing.T) {
	c := preset(t, "grok-1")
	for _, test := range []struct {
		list   string
		fits   bool
		bits   [2]float64 // of the first device, between
		layers [2]int
	}{
		{"8xgpu@80GB", true, [2]float64{15, 16}, [2]int{14, 15}},
		{"gpu@139GB", false, [2]float64{3.3, 3.5}, [2]int{27, 27}},
		{"gpu@139GiB", false, [2]float64{3.5, 3.7}, [2]int{28, 30}},
		{"cpu@512GB", true, [2]float64{12, 13}, [2]int{64, 64}},
		{"gpu@2GB", false, [2]float64{-1, 0}, [2]int{0, 0}},
	} {
		devices, err := ParseDevices(test.list)
		if err != nil {
			t.Fatal(err)
		}
		fits := mustMake(t, c, devices, Options{}).Fit(c, grok1Quantities(len(devices)))
		if len(fits) != len(devices) {
			t.Fatalf("%s: %d answers, want %d", test.list, len(fits), len(devices))
		}
		for _, f := range fits {
			if f.Fits() != test.fits {
				t.Errorf("%s: device %d fits: %v, want %v: %+v", test.list, f.Device, f.Fits(), test.fits, f)
			}
		}
		if f := fits[0]; f.Bits < test.bits[0] || f.Bits > test.bits[1] || f.Layers < test.layers[0] || f.Layers > test.layers[1] {
			t.Errorf("%s: %+v, want bits in %v, layers in %v", test.list, f, test.bits, test.layers)
		}
	}
}

// TestFitIsSharp: what Fit says fits does, and a byte or a layer more does not.
func TestFitIsSharp(t *testing.T) {
	c := toy.Config()
	q := Quantities{Cache: stages.CacheSize{Blocks: 4}, Batches: 2, Limits: stages.Limits{Rows: 8, Draws: 2, Sequences: 2, Experts: 3}}
	device := func(memory int64) []Device { return []Device{{Name: "gpu", Memory: memory}} }
	need := mustMake(t, c, cpus(1), Options{}).Budget(c, q).Devices[0].Total()
	for _, test := range []struct {
		memory int64
		fits   bool
		layers int
	}{{need, true, 3}, {need - 1, false, 2}, {2 * need, true, 3}} {
		f := mustMake(t, c, device(test.memory), Options{}).Fit(c, q)[0]
		if f.Fits() != test.fits || f.Layers != test.layers || f.Need.Total() != need {
			t.Errorf("memory %d of %d: fits %v, %d layers, need %d, want %v, %d", test.memory, need, f.Fits(), f.Layers, f.Need.Total(), test.fits, test.layers)
		}
		matrices := int64(0)
		for _, x := range model.Tensors(c) {
			if len(x.Int8) > 0 {
				matrices += elements(x)
			}
		}
		// At the bits that would fit, the need is the memory.
		stored := int64(0)
		for _, x := range model.Tensors(c) {
			if len(x.Int8) > 0 {
				stored += Storage(nil).Bytes(x)
			}
		}
		if got := float64(need-stored) + f.Bits/8*float64(matrices); math.Abs(got-float64(test.memory)) > 1e-3 {
			t.Errorf("memory %d: at %v bits the need is %v", test.memory, f.Bits, got)
		}
	}
}

func TestFitWithoutMemory(t *testing.T) {
	c := toy.Config()
	devices := []Device{{Name: "cpu"}, {Name: "cpu", Memory: 1}}
	fits := mustMake(t, c, devices, Options{}).Fit(c, Quantities{})
	if len(fits) != 1 || fits[0].Device != 1 || fits[0].Fits() {
		t.Errorf("%+v, want the device with a memory alone, and that it does not fit", fits)
	}
	// A device that holds no matrix has no answer in bits.
	c.Derived = &model.Derived{Quantised: "none"}
	if f := mustMake(t, c, devices[1:], Options{}).Fit(c, Quantities{})[0]; f.Bits != 0 {
		t.Errorf("bits %s, want 0", fmt.Sprint(f.Bits))
	}
}
