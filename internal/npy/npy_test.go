package npy

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// file is a .npy file of version 1.0 with the given header text and data.
func file(header string, data string) string {
	return magic + "\x01\x00" + string(rune(len(header))) + "\x00" + header + data
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, file string
		want       Array
	}{
		{"float32", file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", "\x00\x00\x80\x3f\x00\x00\x00\xc0"),
			Array{Shape: []int{2, 1}, Float32: []float32{1, -2}}},
		{"int32", file("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", "\xfe\xff\xff\xff"),
			Array{Shape: []int{1}, Int32: []int32{-2}}},
		{"uint32, keys in another order", file("{'shape':(1,),'fortran_order':False,'descr':'<u4'}", "\xfe\xff\xff\xff"),
			Array{Shape: []int{1}, Uint32: []uint32{1<<32 - 2}}},
		{"a single number", file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "\x00\x00\x00\x3f"),
			Array{Shape: []int{}, Float32: []float32{.5}}},
		{"nothing", file("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 7), }", ""),
			Array{Shape: []int{0, 7}, Float32: []float32{}}},
		{"version 2", magic + "\x02\x00\x34\x00\x00\x00{'descr':'<i4','fortran_order':False,'shape':(1,),}\n\x07\x00\x00\x00",
			Array{Shape: []int{1}, Int32: []int32{7}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", "not a .npy file"},
		{"other magic", "PK\x03\x04 and so on and on", "not a .npy file"},
		{"future version", magic + "\x09\x00\x10\x00", "version 9"},
		{"no header", magic + "\x01\x00\x10\x00", "header"},
		{"huge header", magic + "\x02\x00\xff\xff\xff\x7f", "want at most"},
		{"no dictionary", file("{}", ""), "want descr"},
		{"float64", file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", "12345678"), `dtype "<f8"`},
		{"big-endian", file("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234"), `dtype ">f4"`},
		{"Fortran order", file("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "1234"), "fortran_order"},
		{"negative axis", file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "1234"), "shape"},
		{"axis beyond int", file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "1234"), "out of range"},
		{"product beyond int", file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "1234"), "too large"},
		{"huge claim, little data", file("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }", "1234"), "4 bytes, want 4000000000000"},
		{"too long", file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "12345"), "more bytes, want 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestWriter(t *testing.T) {
	for _, shape := range [][]int{{}, {1}, {0, 3}, {20001}, {3, 5}, {2, 3, 4}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		n, err := elements(shape)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(math.Sqrt(float64(i)))
		}
		path := filepath.Join(t.TempDir(), "a.npy")
		var b bytes.Buffer
		w, err := NewWriter(&b, shape...)
		if err != nil {
			t.Fatal(err)
		}
		half := len(data) / 2
		if err := errors.Join(w.Write(data[:half]), w.Write(data[half:]), w.Close()); err != nil {
			t.Fatal(err)
		}
		if got := (b.Len() - elemSize*n) % alignment; got != 0 {
			t.Errorf("shape %v: the numbers start %d bytes off a multiple of %d", shape, got, alignment)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Array{Shape: shape, Float32: data}); !reflect.DeepEqual(*got, want) {
			t.Errorf("shape %v: reading gives other numbers or another shape", shape)
		}
	}
}

// The header is what NumPy 1.26 writes for an array of this shape.
func TestWriterHeader(t *testing.T) {
	want := magic + "\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (12, 256), }" + strings.Repeat(" ", 55) + "\n"
	var b bytes.Buffer
	if _, err := NewWriter(&b, 12, 256); err != nil {
		t.Fatal(err)
	}
	if got := b.String()[:128]; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWriterRefuses(t *testing.T) {
	var b bytes.Buffer
	for _, shape := range [][]int{{-1}, {math.MaxInt, math.MaxInt}} {
		if _, err := NewWriter(&b, shape...); err == nil || b.Len() > 0 {
			t.Errorf("shape %v: error %v, %d bytes written", shape, err, b.Len())
		}
	}
	w, err := NewWriter(&b, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if w.Write(make([]float32, 3)) != nil || w.Close() == nil {
		t.Error("3 of 4 numbers: want an error at the end, not before")
	}
	if w.Write(make([]float32, 2)) == nil {
		t.Error("5 of 4 numbers: no error")
	}
	if err := errors.Join(w.Write(make([]float32, 1)), w.Close()); err != nil {
		t.Error(err)
	}
}

func TestReadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken.npy")
	if err := os.WriteFile(path, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "broken.npy") {
		t.Errorf("error %v, want one that names broken.npy", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", "12345678")))
	f.Add([]byte(file("{'descr': '<u4', 'fortran_order': False, 'shape': (), }", "1234")))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		n, err := elements(a.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(a.Float32) + len(a.Int32) + len(a.Uint32); got != n {
			t.Errorf("shape %v with %d numbers", a.Shape, got)
		}
	})
}
