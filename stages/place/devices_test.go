package place

import (
	"slices"
	"strings"
	"testing"

	"troupe/kernels"
)

func TestParseDevices(t *testing.T) {
	for _, test := range []struct {
		list string
		want []Device
	}{
		{"cpu", []Device{{Name: "cpu"}}},
		{"cpu:1,cpu:3", []Device{{Name: "cpu", Threads: 1}, {Name: "cpu", Threads: 3}}},
		{" cpu:1 , cpu ", []Device{{Name: "cpu", Threads: 1}, {Name: "cpu"}}},
		{"2xcpu:4", []Device{{Name: "cpu", Threads: 4}, {Name: "cpu", Threads: 4}}},
		{"3xgpu@80GB", slices.Repeat([]Device{{Name: "gpu", Memory: 80e9}}, 3)},
		{"cpu:2/4", []Device{{Name: "cpu", Threads: 2, Prefill: 4}}},
		{"2xcpu:3/3,cpu:4/1@1GB", []Device{{Name: "cpu", Threads: 3}, {Name: "cpu", Threads: 3}, {Name: "cpu", Threads: 4, Prefill: 1, Memory: 1e9}}},
		{"cpu:2@512GiB", []Device{{Name: "cpu", Threads: 2, Memory: 512 << 30}}},
		{"h100-sxm_5@1.5tb,cpu", []Device{{Name: "h100-sxm_5", Memory: 1.5e12}, {Name: "cpu"}}},
	} {
		got, err := ParseDevices(test.list)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("ParseDevices(%q) = %v, %v, want %v", test.list, got, err, test.want)
		}
	}
}

func TestParseDevicesRefuses(t *testing.T) {
	for list, want := range map[string]string{
		"":                           `place: device "": want [HOST:PORT=][COUNTx]NAME[:THREADS[/PREFILL]][@MEMORY]`,
		"cpu,":                       `device "": want`,
		"CPU":                        `device "CPU": want`,
		"8":                          `device "8": want`,
		"cpu:":                       `device "cpu:": want`,
		"cpu:two":                    `as in cpu, cpu:2,cpu:2/4, 8xgpu@80GB or a:7000=2xcpu:8@64GB`,
		"cpu:-1":                     `device "cpu:-1": want`,
		"cpu:0":                      `device "cpu:0": threads 0, want 1 to 4096`,
		"cpu:2/":                     `device "cpu:2/": want`,
		"cpu:/2":                     `device "cpu:/2": want`,
		"cpu:2/0":                    `device "cpu:2/0": threads for prefill 0, want 1 to 4096`,
		"cpu:5000":                   `threads 5000, want 1 to 4096`,
		"0xcpu":                      `device "0xcpu": count 0, want 1 to 1024`,
		"9999999xcpu":                `count 9999999, want`,
		"600xa,600xb":                `device "600xb": more than 1024 devices in all`,
		"cpu@":                       `device "cpu@": want`,
		"cpu@0GB":                    `size "0GB", want a number above 0 with B, kB`,
		"cpu@1.2.3GB":                `size "1.2.3GB"`,
		"cpu@5furlong":               `size "5furlong"`,
		"cpu@9e9TB":                  `device "cpu@9e9TB": want`,
		"cpu@99999999999999999999TB": `size "99999999999999999999TB"`,
	} {
		if got, err := ParseDevices(list); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseDevices(%q) = %v, %v, want … %s …", list, got, err, want)
		}
	}
}

func FuzzParseDevices(f *testing.F) {
	for _, s := range []string{"cpu", "cpu:1,cpu:1", "8xgpu@80GB", "cpu:2/4,cpu:3/3", "cpu:2@1.5TiB", "0x@:", "99999999999999999999xa"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		devices, err := ParseDevices(list)
		if err != nil {
			return
		}
		var written []string
		for _, d := range devices {
			written = append(written, d.String())
		}
		again, err := ParseDevices(strings.Join(written, ","))
		if err != nil || !slices.Equal(again, devices) {
			t.Errorf("%q: %v, written %q, read again %v, %v", list, devices, written, again, err)
		}
	})
}

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "17B": 17, "80GB": 80e9, "80gb": 80e9, "80GiB": 80 << 30, "1.5kB": 1500, "3KiB": 3072, "2MB": 2e6, "2mib": 2 << 20, "1TB": 1e12, "1TiB": 1 << 40} {
		if got, err := ParseBytes(s); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for want, n := range map[string]int64{"1B": 1, "80GB": 80e9, "80GiB": 80 << 30, "1500B": 1500, "3KiB": 3072, "2kB": 2000, "1TB": 1e12, "1TiB": 1 << 40} {
		if got := FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for _, s := range []string{"", "GB", "-1GB", "0", "0.5B", "NaN", "Inf", "1GBB", "1 GB", "1e30GB"} {
		if got, err := ParseBytes(s); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", s, got)
		}
	}
}

func TestRunnable(t *testing.T) {
	for _, test := range []struct {
		list            string
		decode, prefill int
		want            string
	}{
		{"cpu", 8, 8, "cpu:8"},
		{"cpu", 3, 8, "cpu:3/8"},
		{"cpu,cpu", 8, 8, "cpu:4,cpu:4"},
		{"cpu,cpu", 3, 8, "cpu:1/4,cpu:2/4"},
		{"3xcpu", 8, 8, "cpu:2,cpu:3,cpu:3"},
		{"cpu:5,cpu,cpu", 8, 8, "cpu:5,cpu:1,cpu:2"},
		{"cpu:2/5,cpu", 8, 8, "cpu:2/5,cpu:6/3"},
		{"cpu:8,cpu", 8, 8, "cpu:8,cpu:1"},
		{"4xcpu", 2, 2, "cpu:1,cpu:1,cpu:1,cpu:1"},
		{"cpu:16,cpu:16", 2, 2, "cpu:16,cpu:16"},
	} {
		devices, err := ParseDevices(test.list)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(devices)
		got, err := Runnable(devices, kernels.Threads{Decode: test.decode, Prefill: test.prefill})
		if err != nil {
			t.Fatal(err)
		}
		var written []string
		for _, d := range got {
			written = append(written, d.String())
		}
		if s := strings.Join(written, ","); s != test.want || !slices.Equal(before, devices) {
			t.Errorf("%s on %d/%d threads: %s, want %s", test.list, test.decode, test.prefill, s, test.want)
		}
	}
	if _, err := Runnable([]Device{{Name: "cpu"}, {Name: "gpu"}}, kernels.SameThreads(4)); err == nil || !strings.Contains(err.Error(), `place: device 1 is "gpu", want cpu`) {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestKernelThreads(t *testing.T) {
	for d, want := range map[Device]kernels.Threads{
		{Threads: 2}:             {Decode: 2, Prefill: 2},
		{Threads: 2, Prefill: 4}: {Decode: 2, Prefill: 4},
	} {
		if got := d.KernelThreads(); got != want {
			t.Errorf("%+v: %+v, want %+v", d, got, want)
		}
	}
}

func TestDeviceCheck(t *testing.T) {
	for _, test := range []struct {
		d    Device
		want string
	}{
		{Device{Name: "cpu"}, ""},
		{Device{Name: "h100-sxm_5", Label: "Rack.2_b-1", Threads: 4096, Prefill: 1, Memory: 1}, ""},
		{Device{}, `kind ""`},
		{Device{Name: "2xcpu"}, `kind "2xcpu"`},
		{Device{Name: strings.Repeat("a", 65)}, "kind"},
		{Device{Name: "cpu", Label: "a b"}, `name "a b"`},
		{Device{Name: "cpu", Label: "1"}, `name "1"`},
		{Device{Name: "cpu", Threads: 4097}, "threads 4097"},
		{Device{Name: "cpu", Prefill: -1}, "for prefill -1"},
		{Device{Name: "cpu", Memory: -1}, "memory of -1 bytes"},
	} {
		if err := test.d.Check(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.d, err, test.want)
		}
	}
}
