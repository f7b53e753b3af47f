package ckpt

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// damage is one of the reference data's broken variants of the golden checkpoint, as edits of its files.
type damage struct {
	Name    string
	Failing string `json:"failing_file"`
	Expect  string
	Steps   []struct {
		Do, File, From, Old, New, Hex string
		Offset, Size                  int
	}
}

// said is what the error must say for each kind of damage that damaged.json expects.
var said = map[string]string{
	"truncated":                             "truncated",
	"not a checkpoint pickle":               "not a pickle",
	"wrong dtype":                           "dtype",
	"wrong byte order":                      "byte order",
	"wrong shape":                           "shape",
	"payload does not match the shape":      "its payload has",
	"scales do not fit the weight":          "do not fit weight",
	"column-major arrays are not supported": "column-major",
	"missing file":                          "missing file",
	"extra file":                            "extra file",
	"wrong kind":                            "want plain float32",
	"refused name":                          "refused name",
	"bad state":                             "bad state",
	"truncated, without deep recursion":     "truncated",
	"bad memo index":                        "memo index",
	"length beyond the file":                "truncated: the byte string",
	"bad opcode or payload mismatch":        "opcode",
	"frame beyond the file":                 "truncated: the frame",
	"trailing bytes":                        "trailing bytes",
	"unsupported protocol":                  "protocol 5 is unsupported",
	"a scale is not finite":                 "not finite",
	"a value is not finite":                 "not finite",
}

func (d damage) apply(t *testing.T, dir string) {
	t.Helper()
	for _, s := range d.Steps {
		path := filepath.Join(dir, filepath.FromSlash(s.File))
		bytes := func(text string) []byte {
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		switch s.Do {
		case "patch":
			edit(t, path, func(b []byte) []byte {
				if got := hex.EncodeToString(b[s.Offset : s.Offset+len(s.Old)/2]); got != s.Old {
					t.Fatalf("%s: %s at %d, want %s", s.File, got, s.Offset, s.Old)
				}
				copy(b[s.Offset:], bytes(s.New))
				return b
			})
		case "truncate":
			edit(t, path, func(b []byte) []byte { return b[:s.Size] })
		case "append":
			edit(t, path, func(b []byte) []byte { return append(b, bytes(s.Hex)...) })
		case "write":
			edit(t, path, func([]byte) []byte { return bytes(s.Hex) })
		case "remove":
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		case "copy":
			b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(s.From)))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("unknown step %q", s.Do)
		}
	}
}

// TestDamaged refuses every broken checkpoint of the reference data by the name of its broken file, without
// running what the hostile ones ask for and without the memory that the lying ones ask for.
func TestDamaged(t *testing.T) {
	b, err := os.ReadFile("testdata/damaged.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []damage }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Cases) != 37 {
		t.Fatalf("%d cases, want 37", len(all.Cases))
	}
	for _, d := range all.Cases {
		t.Run(d.Name, func(t *testing.T) {
			word, known := said[d.Expect]
			if !known {
				t.Fatalf("unknown expectation %q", d.Expect)
			}
			dir := copyGolden(t)
			d.apply(t, dir)
			var c *Checkpoint
			var err error
			taken := allocated(func() { c, err = Open(t.Context(), os.DirFS(dir), goldenWants(), Options{}) })
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			wantError(t, err, d.Failing, word)
			if taken > 1<<20 {
				t.Errorf("took %d bytes of memory", taken)
			}
		})
	}
	if _, err := os.Stat("GROK1_PICKLE_WAS_RUN"); err == nil {
		t.Error("a hostile pickle was run")
	}
}
