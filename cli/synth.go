package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"

	"troupe/ckpt"
	"troupe/model"
	"troupe/tensor"
)

// Random weights that behave like a model's: every matrix has inputs of unit size to outputs of unit
// size, and
//
//   - the layers together weigh twice as much as the embedding, since the norm behind each half of a layer
//     scales it by 2/√(2·layers): what follows depends on the text, and rounding is not blown up;
//   - the last norm has random signs, so that the head, which is the embedding again, does not simply
//     name the token that was read;
//   - queries and keys are twice as large, so that attention picks rather than averages and a text does
//     not soon go round in circles;
//   - logits have a standard deviation of about logitSpread, so that sampling has something to choose.
const logitSpread = 2.5

// sources lists the tensors to write; sparse ones are all holes. A tensor's numbers depend on the seed and
// its place alone, whatever is written beside it.
func sources(c model.Config, seed uint64, sparse bool) []ckpt.Source {
	var list []ckpt.Source
	for i, t := range model.Tensors(c) {
		s := ckpt.Source{Name: t.Name, Spec: tensor.Spec{DType: tensor.F32, Shape: t.Shape}}
		if len(t.Int8) > 0 {
			s.Spec.DType, s.Groups = tensor.I8, t.Int8[0]
		}
		if !sparse {
			fill(&s, c, seed, uint64(i))
		}
		list = append(list, s)
	}
	return list
}

// fill gives a tensor its numbers.
func fill(s *ckpt.Source, c model.Config, seed, index uint64) {
	centre, spread := distribution(s, c)
	n, _ := s.Spec.Shape.Elems() // bounded by Config.Validate
	if s.Groups == 0 {
		s.Payload = func(w io.Writer) error {
			return writeFloats(w, noise(seed, index, 0), n, centre, spread, signed(s.Name))
		}
		return
	}
	s.Payload = func(w io.Writer) error { return writeInts(w, noise(seed, index, 0), n) }
	shape := s.Spec.Shape
	scales := n / int64(shape[len(shape)-2]) * int64(s.Groups)
	s.Scales = func(w io.Writer) error { return writeScales(w, noise(seed, index, 1), scales, spread/uniformInt8) }
}

// distribution gives the mean and the standard deviation of a tensor's numbers.
func distribution(s *ckpt.Source, c model.Config) (centre, spread float64) {
	shape := s.Spec.Shape
	embedding := 1 / c.EmbeddingMultiplierScale
	switch {
	case s.Name == model.Embedding:
		return 0, embedding
	case strings.HasSuffix(s.Name, "/rms_norm_1/scale"), strings.HasSuffix(s.Name, "/rms_norm_3/scale"):
		size := 2 / math.Sqrt(2*float64(c.Model.NumLayers))
		return size, size / 8
	case strings.HasPrefix(s.Name, "language_model/rms_norm"):
		size := logitSpread / (c.OutputMultiplierScale * embedding * math.Sqrt(float64(c.Model.EmbSize)))
		return size, size / 8
	case len(shape) == 1:
		return 1, 1. / 8
	}
	spread = 1 / math.Sqrt(float64(shape[len(shape)-2]))
	if strings.HasSuffix(s.Name, "/query/w") || strings.HasSuffix(s.Name, "/key/w") {
		spread *= 2
	}
	return 0, spread
}

// signed tells whether the numbers of a tensor get random signs.
func signed(name string) bool { return strings.HasPrefix(name, "language_model/rms_norm") }

// noise is the stream of random bytes of one array.
func noise(seed, tensor, array uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], tensor)
	binary.LittleEndian.PutUint64(key[16:], array)
	return rand.NewChaCha8(key)
}

// uniformInt8 is the standard deviation of the whole numbers from -128 to 127, all as likely.
const uniformInt8 = 73.9

const synthChunk = 64 << 10 // bytes

// writeInts writes n random bytes: int8 values, all as likely.
func writeInts(w io.Writer, random *rand.ChaCha8, n int64) error {
	buf := make([]byte, synthChunk)
	for n > 0 {
		part := buf[:min(n, synthChunk)]
		random.Read(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// writeFloats writes n float32 values, uniform with that mean and standard deviation.
func writeFloats(w io.Writer, random *rand.ChaCha8, n int64, centre, spread float64, signs bool) error {
	half := spread * math.Sqrt(3) // a uniform distribution is √12 standard deviations wide
	return writeWords(w, random, 4, n, func(word uint64, b []byte) {
		v := centre + half*(float64(word>>11)/(1<<52)-1)
		if signs && word&1 != 0 {
			v = -v
		}
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(v)))
	})
}

// writeScales writes n bfloat16 scales from 0.5 to 1.5 times the mean.
func writeScales(w io.Writer, random *rand.ChaCha8, n int64, mean float64) error {
	return writeWords(w, random, 2, n, func(word uint64, b []byte) {
		v := mean * (0.5 + float64(word>>11)/(1<<53))
		binary.LittleEndian.PutUint16(b, tensor.ToBF16(float32(v)))
	})
}

// writeWords writes n numbers of size bytes, each made of one random word.
func writeWords(w io.Writer, random *rand.ChaCha8, size, n int64, put func(word uint64, b []byte)) error {
	buf := make([]byte, synthChunk)
	for n > 0 {
		part := buf[:min(n*size, synthChunk)]
		for i := int64(0); i < int64(len(part)); i += size {
			put(random.Uint64(), part[i:i+size])
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part)) / size
	}
	return nil
}

// checkpointBytes is what a checkpoint of this configuration takes on disk, and its parameters.
func checkpointBytes(list []ckpt.Source) (bytes, params int64, err error) {
	for _, s := range list {
		size, err := ckpt.FileSize(s.Spec, s.Groups)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", s.Name, err)
		}
		n, err := s.Spec.Shape.Elems()
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", s.Name, err)
		}
		bytes, params = bytes+size, params+n
	}
	return bytes, params, nil
}
