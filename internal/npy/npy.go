package npy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

const (
	magic     = "\x93NUMPY"
	headerMax = 64 << 10 // bytes; ours and NumPy's are about 100
	alignment = 64       // NumPy pads the header so that the numbers start at a multiple of this
	elemSize  = 4        // bytes of every number format read here
)

// Array is the content of a file. One of the three slices is used, the others are nil; it holds the
// product of Shape elements in C order (the last axis varies fastest).
type Array struct {
	Shape   []int // an empty shape is a single number
	Float32 []float32
	Int32   []int32
	Uint32  []uint32
}

// ReadFile reads the array in the file at path.
func ReadFile(path string) (*Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := Read(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// Read reads one array, and wants the data to end with it.
func Read(r io.Reader) (*Array, error) {
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	n, err := elements(h.shape)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer // grows with what arrives
	got, err := io.Copy(&data, io.LimitReader(r, int64(n)*elemSize+1))
	if err != nil {
		return nil, fmt.Errorf("npy: data: %w", err)
	}
	if got != int64(n)*elemSize {
		have := fmt.Sprint(got)
		if got > int64(n)*elemSize {
			have = "more"
		}
		return nil, fmt.Errorf("npy: data: %s bytes, want %d for shape %v: the file is damaged", have, int64(n)*elemSize, h.shape)
	}
	a := &Array{Shape: h.shape}
	b := data.Bytes()
	switch h.descr {
	case "<f4":
		a.Float32 = make([]float32, n)
		for i := range a.Float32 {
			a.Float32[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*elemSize:]))
		}
	case "<i4":
		a.Int32 = make([]int32, n)
		for i := range a.Int32 {
			a.Int32[i] = int32(binary.LittleEndian.Uint32(b[i*elemSize:]))
		}
	case "<u4":
		a.Uint32 = make([]uint32, n)
		for i := range a.Uint32 {
			a.Uint32[i] = binary.LittleEndian.Uint32(b[i*elemSize:])
		}
	}
	return a, nil
}

// Writer writes a float32 array as its numbers come, in C order.
type Writer struct {
	w    io.Writer
	left int // numbers still to come
	buf  []byte
}

// NewWriter writes everything before the numbers of an array of that shape.
func NewWriter(w io.Writer, shape ...int) (*Writer, error) {
	n, err := elements(shape)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(appendHeader(nil, header{"<f4", shape}))
	return &Writer{w: w, left: n}, err
}

// Write writes the next numbers.
func (w *Writer) Write(data []float32) error {
	if len(data) > w.left {
		return fmt.Errorf("npy: %d numbers more than the shape holds", len(data)-w.left)
	}
	w.left -= len(data)
	w.buf = w.buf[:0]
	for _, v := range data {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(v))
	}
	_, err := w.w.Write(w.buf)
	return err
}

// Close reports numbers that have not come. It does not close what is below.
func (w *Writer) Close() error {
	if w.left > 0 {
		return fmt.Errorf("npy: %d numbers fewer than the shape holds", w.left)
	}
	return nil
}

// elements is the product of a shape.
func elements(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("npy: shape %v: an axis is negative", shape)
		}
		if d > 0 && n > math.MaxInt/elemSize/2/d {
			return 0, errors.New("npy: the shape's product is too large")
		}
		n *= d
	}
	return n, nil
}
