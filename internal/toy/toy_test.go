package toy

import "testing"

func TestWeightsFitTheConfiguration(t *testing.T) {
	c := Config()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, storage := range []Storage{Int8, Float32} {
		quantised := 0
		for name, list := range Weights(c, storage, 1) {
			for _, w := range list {
				if err := w.Check(); err != nil {
					t.Errorf("%s: %s: %v", storage, name, err)
				}
				if w.Quantised() {
					quantised++
				}
			}
		}
		if (storage == Int8) != (quantised > 0) {
			t.Errorf("%s: %d quantised weights", storage, quantised)
		}
	}
}
