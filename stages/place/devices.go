package place

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"troupe/kernels"
)

// Device is one memory with threads that compute on it.
type Device struct {
	Name    string // its kind: "cpu"
	Threads int    // 0: not stated
	Prefill int    // threads for batches of many rows, other than Threads; 0: as Threads
	Memory  int64  // bytes; 0: not stated
	Label   string // a name of its own, as placement files give; "": none
	Host    string // address of the worker that has it, HOST:PORT; "": it is in this process
	Number  int    // of a worker's device: which one of those that the worker offers

	Bandwidth float64 // bytes a second that Threads read from its memory; 0: not stated
	Flops     float64 // operations a second of its prefill threads, a multiply-add being two; 0: not stated
}

const (
	maxDevices = 1024
	maxThreads = 4096
)

const deviceGrammar = "want [HOST:PORT=][COUNTx]NAME[:THREADS[/PREFILL]][@MEMORY], separated by commas, as in cpu, cpu:2,cpu:2/4, 8xgpu@80GB or a:7000=2xcpu:8@64GB"

var deviceForm = regexp.MustCompile(`^(?:([0-9]+)x)?([a-z][a-z0-9_-]{0,63})(?::([0-9]+)(?:/([0-9]+))?)?(?:@([0-9.]+[A-Za-z]*))?$`)

// ParseDevices reads a list of devices: "cpu", "cpu:1,cpu:1", "cpu:2/4" (two threads for decode, four for
// prefill), "8xgpu@80GB", "a:7000=2xcpu:8" (two devices of the worker at that address, numbered in the order in which they
// stand in the list). Spaces around entries do not matter.
func ParseDevices(list string) ([]Device, error) {
	var all []Device
	numbers := map[string]int{}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		count, d, err := parseDevice(entry)
		if err != nil {
			return nil, fmt.Errorf("place: device %q: %w", entry, err)
		}
		if len(all)+count > maxDevices {
			return nil, fmt.Errorf("place: device %q: more than %d devices in all", entry, maxDevices)
		}
		for range count {
			if d.Host != "" {
				d.Number = numbers[d.Host]
				numbers[d.Host]++
			}
			all = append(all, d)
		}
	}
	return all, nil
}

func parseDevice(entry string) (count int, d Device, err error) {
	if address, rest, ok := strings.Cut(entry, "="); ok {
		if err := CheckAddress(address); err != nil {
			return 0, d, err
		}
		d.Host, entry = address, rest
	}
	m := deviceForm.FindStringSubmatch(entry)
	if m == nil {
		return 0, d, fmt.Errorf("%s", deviceGrammar)
	}
	count, d.Name = 1, m[2]
	if m[1] != "" {
		if count, err = within("count", m[1], maxDevices); err != nil {
			return 0, d, err
		}
	}
	if m[3] != "" {
		if d.Threads, err = within("threads", m[3], maxThreads); err != nil {
			return 0, d, err
		}
	}
	if m[4] != "" {
		if d.Prefill, err = within("threads for prefill", m[4], maxThreads); err != nil {
			return 0, d, err
		}
		d.setThreads(kernels.Threads{Decode: d.Threads, Prefill: d.Prefill})
	}
	if m[5] != "" {
		if d.Memory, err = ParseBytes(m[5]); err != nil {
			return 0, d, err
		}
	}
	return count, d, nil
}

var (
	kindForm  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	labelForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}(?:/[0-9]{1,4})?$`)
)

// Check reports what no device can be: a kind or label of other signs than letters, digits, -, _ and, in labels, dots;
// numbers of threads or a memory out of bounds. A label may be missing.
func (d Device) Check() error {
	switch {
	case d.Label != "" && !labelForm.MatchString(d.Label):
		return fmt.Errorf("name %.70q, want a letter, then at most 63 letters, digits, -, _ or dots; of a host's device also HOST/0", d.Label)
	case !kindForm.MatchString(d.Name):
		return fmt.Errorf("kind %.70q, want a small letter, then at most 63 small letters, digits, - or _, as cpu", d.Name)
	case d.Threads < 0 || d.Threads > maxThreads || d.Prefill < 0 || d.Prefill > maxThreads:
		return fmt.Errorf("threads %d, for prefill %d, want at most %d", d.Threads, d.Prefill, maxThreads)
	case d.Memory < 0:
		return fmt.Errorf("memory of %d bytes, want 1 or more", d.Memory)
	case d.Number < 0 || d.Number >= maxDevices:
		return fmt.Errorf("number %d of the worker's devices, want 0 to %d", d.Number, maxDevices-1)
	case !rate(d.Bandwidth) || !rate(d.Flops):
		return fmt.Errorf("%v bytes and %v operations a second, want numbers above 0", d.Bandwidth, d.Flops)
	case d.Host != "":
		return CheckAddress(d.Host)
	}
	return nil
}

// rate reports whether v is what a device may do a second; 0 is not stated.
func rate(v float64) bool { return v >= 0 && v < 1e30 }

func within(what, digits string, most int) (int, error) {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s %s, want 1 to %d", what, digits, most)
	}
	return n, nil
}

// String is the device in the form that ParseDevices reads.
func (d Device) String() string {
	s := d.Name
	if d.Host != "" {
		s = d.Host + "=" + s
	}
	if d.Threads > 0 {
		s += ":" + strconv.Itoa(d.Threads)
	}
	if d.Prefill > 0 {
		s += "/" + strconv.Itoa(d.Prefill)
	}
	if d.Memory > 0 {
		s += "@" + strconv.FormatInt(d.Memory, 10) + "B"
	}
	return s
}

// KernelThreads are the device's threads for decode and for prefill.
func (d Device) KernelThreads() kernels.Threads {
	if d.Prefill == 0 {
		return kernels.SameThreads(d.Threads)
	}
	return kernels.Threads{Decode: d.Threads, Prefill: d.Prefill}
}

func (d *Device) setThreads(t kernels.Threads) {
	d.Threads, d.Prefill = t.Decode, 0
	if t.Prefill != t.Decode {
		d.Prefill = t.Prefill
	}
}

// Runnable prepares devices for a run on this machine: it refuses those that a plan may count with but
// that nothing here can compute on, and gives those without a stated number of threads an equal share of
// the threads that the others leave, at least one each.
func Runnable(devices []Device, threads kernels.Threads) ([]Device, error) {
	open := 0
	for i, d := range devices {
		if d.Host != "" {
			continue // its worker knows
		}
		if d.Name != "cpu" {
			return nil, fmt.Errorf("place: device %d is %q, want cpu: there are no other devices here to run on; other names are for planning", i, d.Name)
		}
		if d.Threads == 0 {
			open++
		}
		threads = less(threads, d.KernelThreads())
	}
	devices = slices.Clone(devices)
	for i := range devices {
		if devices[i].Threads == 0 && devices[i].Host == "" {
			share := kernels.Threads{Decode: max(1, threads.Decode/open), Prefill: max(1, threads.Prefill/open)}
			devices[i].setThreads(share)
			threads = less(threads, share)
			open--
		}
	}
	return devices, nil
}

func less(a, b kernels.Threads) kernels.Threads {
	return kernels.Threads{Decode: a.Decode - b.Decode, Prefill: a.Prefill - b.Prefill}
}
