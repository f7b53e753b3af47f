package place

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are the suffixes of sizes: powers of 1000, as memory is sold and drives are labelled, and of 1024.
var units = map[string]float64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// ParseBytes reads a number of bytes with a unit: 80GB is 80·10⁹, 80GiB is 80·2³⁰. The case of the unit
// does not matter, and a number alone means bytes.
func ParseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "BGIKMTbgikmt")
	unit, ok := units[strings.ToLower(s[len(digits):])]
	v, err := strconv.ParseFloat(digits, 64)
	if v *= unit; !ok || err != nil || !(v >= 1 && v < math.MaxInt64) {
		return 0, fmt.Errorf("size %q, want a number above 0 with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB", s)
	}
	return int64(v), nil
}

// FormatBytes writes a number of bytes so that ParseBytes reads the same: with the largest unit that divides it.
func FormatBytes(n int64) string {
	for _, unit := range []string{"TB", "TiB", "GB", "GiB", "MB", "MiB", "kB", "KiB"} {
		if size := int64(units[strings.ToLower(unit)]); n >= size && n%size == 0 {
			return strconv.FormatInt(n/size, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
