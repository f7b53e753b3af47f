package plugins

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/wire"
)

func TestDescribe(t *testing.T) {
	d, err := Describe(context.Background(), Config{Path: testPlugin})
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "testplugin" || d.Protocol != wire.Version || d.Version == "" || len(d.Variants) < 3 {
		t.Errorf("%+v", d)
	}
	found := map[string]VariantInfo{}
	for _, v := range d.Variants {
		found[v.Name] = v
	}
	if v := found["ref"]; v.Score != 1 || len(v.Ops) != int(kernels.NumOps) || v.Promise != kernels.Identical || v.Doc == "" || v.Error != "" {
		t.Errorf("%+v", v)
	}
	for _, v := range d.Lent(Config{}) {
		if v.Name == "plugin:testplugin/cpu/generic" && (v.Score() != 10 || v.Needs != "") {
			t.Errorf("%+v", v)
		}
	}
}

func TestLentName(t *testing.T) {
	for _, c := range [][3]string{
		{"cpu", "cpu/avx2", "plugin:cpu/avx2"}, {"cpu", "cpu", "plugin:cpu"}, {"reference", "ref", "plugin:reference/ref"},
		{"mine", "mine", "plugin:mine"}, {"cpu", "cpux/a", "plugin:cpu/cpux/a"}, {"x", "x/x", "plugin:x"},
	} {
		if got := LentName(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s: %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func good() *pb.Description {
	return &pb.Description{Name: "p", Version: "1", Variants: []*pb.Variant{{Name: "v", Doc: "d", Score: 3, Info: &pb.Info{Name: "v", Doc: "d", Version: "1", Ops: []byte{0, 3}}}}}
}

// What a plugin says wrongly of itself is found.
func TestCheckDescription(t *testing.T) {
	if d, err := checkDescription(good()); err != nil || d.Variants[0].Ops[1] != kernels.RoPE {
		t.Fatal(d, err)
	}
	for name, spoil := range map[string]func(*pb.Description){
		"no name":         func(d *pb.Description) { d.Name = "" },
		"spaces":          func(d *pb.Description) { d.Name = "a b" },
		"a path":          func(d *pb.Description) { d.Name = "../p" },
		"binding":         func(d *pb.Description) { d.Variants[0].Name = "a=b" },
		"escape":          func(d *pb.Description) { d.Variants[0].Name = "\x1b[31m" },
		"long name":       func(d *pb.Description) { d.Name = strings.Repeat("p", 65) },
		"no variants":     func(d *pb.Description) { d.Variants = nil },
		"many variants":   func(d *pb.Description) { d.Variants = make([]*pb.Variant, 65) },
		"two of a name":   func(d *pb.Description) { d.Variants = append(d.Variants, d.Variants[0]) },
		"nil variant":     func(d *pb.Description) { d.Variants[0] = nil },
		"negative score":  func(d *pb.Description) { d.Variants[0].Score = -1 },
		"huge score":      func(d *pb.Description) { d.Variants[0].Score = 1 << 40 },
		"unknown op":      func(d *pb.Description) { d.Variants[0].Info.Ops = []byte{200} },
		"an op twice":     func(d *pb.Description) { d.Variants[0].Info.Ops = []byte{1, 1} },
		"no ops":          func(d *pb.Description) { d.Variants[0].Info.Ops = nil },
		"unknown promise": func(d *pb.Description) { d.Variants[0].Info.Promise = 1 << 8 },
		"no version":      func(d *pb.Description) { d.Variants[0].Info.Version = "" },
	} {
		d := good()
		spoil(d)
		if _, err := checkDescription(d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What people read is one line of bounded length, whatever a plugin says.
func FuzzDescription(f *testing.F) {
	seed, err := proto.Marshal(good())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &pb.Description{}
		if proto.Unmarshal(b, d) != nil {
			return
		}
		checked, err := checkDescription(d)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
				t.Errorf("%q", err)
			}
			return
		}
		for _, v := range checked.Variants {
			for _, s := range []string{checked.Name, v.Name, v.Doc, v.Needs, v.Error, v.Version} {
				if strings.ContainsAny(s, "\n\r\x1b\x00") || len(s) > maxDoc {
					t.Errorf("%q", s)
				}
			}
			for _, op := range v.Ops {
				if op >= kernels.NumOps {
					t.Errorf("op %d", op)
				}
			}
		}
	})
}

// Without an engine the program says what it is.
func TestByHand(t *testing.T) {
	out, err := exec.Command(testPlugin).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is a plugin of troupe") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = exec.Command(testPlugin, "--describe").Output()
	if err != nil || !strings.Contains(string(out), "ref: score 1") || !strings.Contains(string(out), "attend") {
		t.Errorf("%v: %s", err, out)
	}
}
