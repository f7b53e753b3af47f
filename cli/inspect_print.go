package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"troupe/ckpt"
	"troupe/model"
)

// print writes the report for people.
func (i *inspection) print(p *program) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s parameters, %s bytes in %s\n\n", i.Model, thousands(i.Parameters), thousands(i.Bytes), i.fileCount())
	fmt.Fprintf(&b, "Configuration (%s)\n", i.Source)
	b.WriteString(describeConfig(i.Config))
	b.WriteString("\n" + p.tableOf([]string{"Tensor", "Count", "Stored as", "Shape", "Size"}, i.classes(), 1, 4))
	b.WriteString("\nChecks\n")
	for _, c := range i.Checks {
		b.WriteString(wrapAt(fmt.Sprintf("  %-7s%-13s", c.Result, c.Name), c.Detail, 22) + "\n")
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// wrapAt writes words behind a heading, in lines of 80 columns.
func wrapAt(left, text string, indent int) string {
	var b strings.Builder
	b.WriteString(left)
	column := len([]rune(left))
	for n, word := range strings.Fields(text) {
		if n > 0 && column+1+len([]rune(word)) > helpWidth {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		} else if n > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len([]rune(word))
	}
	return b.String()
}

// describeConfig lists the fields under the reference's names.
func describeConfig(c model.Config) string {
	m := c.Model
	return p2("num_layers", m.NumLayers, "vocab_size", c.VocabSize) +
		p2("emb_size", m.EmbSize, "sequence_len", c.SequenceLen) +
		p2("num_q_heads", m.NumQHeads, "num_experts", m.NumExperts) +
		p2("num_kv_heads", m.NumKVHeads, "num_selected_experts", m.NumSelectedExperts) +
		p2("key_size", m.KeySize, "ffn width", m.FFNSize()) +
		p2("pad_token", c.PadToken, "eos_token", c.EOSToken) +
		p2("attn_output_multiplier", m.AttnOutputMultiplier, "embedding_multiplier_scale", c.EmbeddingMultiplierScale) +
		p2("widening_factor", m.WideningFactor, "output_multiplier_scale", c.OutputMultiplierScale)
}

// p2 is a line of two fields.
func p2(name1 string, v1 any, name2 string, v2 any) string {
	return fmt.Sprintf("  %-23s %-12s %-27s %s\n", name1, number(v1), name2, number(v2))
}

// number is a field's value: all digits of a whole number, seven of another.
func number(v any) string {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.7g", f)
	}
	return fmt.Sprint(v)
}

// classes sums tensors of one name up over the layers.
func (i *inspection) classes() (rows [][]string) {
	type sum struct {
		tensorReport
		files int
		mixed bool
	}
	var order []string
	sums := map[string]*sum{}
	for _, t := range i.Tensors {
		s, ok := sums[t.class]
		if !ok {
			s = &sum{tensorReport: t}
			s.Bytes = 0
			sums[t.class], order = s, append(order, t.class)
		}
		s.files++
		s.Bytes += t.Bytes
		s.mixed = s.mixed || !s.Shape.Equal(t.Shape) || s.DType != t.DType || s.Groups != t.Groups
	}
	for _, name := range order {
		s := sums[name]
		stored, shape := s.DType, s.Shape.String()
		if s.Groups > 0 {
			stored = fmt.Sprintf("%s, %d scale%s", s.DType, s.Groups, map[bool]string{true: "s"}[s.Groups > 1])
			if i.Container == containerPacked {
				stored += ", panels"
			}
		}
		if s.mixed {
			stored, shape = "mixed", "mixed"
		}
		short := strings.TrimPrefix(strings.TrimPrefix(name, "transformer/decoder_layer_*/"), "language_model/")
		rows = append(rows, []string{short, fmt.Sprint(s.files), stored, shape, humanBytes(s.Bytes)})
	}
	return rows
}

// sparse tells whether a checkpoint's files are of true size but empty, as `new --sparse` makes them: no
// embedding is all zeros at its beginning, middle and end.
func sparse(dir directory, headers []ckpt.Header) bool {
	if len(headers) == 0 {
		return false
	}
	h := headers[0]
	f, err := dir.Open(h.File)
	if err != nil {
		return false
	}
	defer f.Close()
	at, ok := f.(io.ReaderAt)
	size, err := h.Weight.Bytes()
	if !ok || err != nil {
		return false
	}
	buf := make([]byte, min(size, 4096))
	for _, offset := range []int64{0, (size - int64(len(buf))) / 2, size - int64(len(buf))} {
		if _, err := at.ReadAt(buf, h.Offset+offset); err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		for _, b := range buf {
			if b != 0 {
				return false
			}
		}
	}
	return true
}
