package sched

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"troupe/router"
	"troupe/stages/sample"
)

// FuzzRequests hands in whatever bytes say, three requests of one kind: Check answers in one line, and
// what it lets pass runs to its end and gets what it gets alone.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{5, 6, 7}, int64(4), int32(-1), uint8(0), uint8(2), 1.0, 0, 1.0, 0.0, uint8(0), uint8(8), uint8(0))
	f.Add([]byte{0, 0, 7, 0}, int64(4), int32(2), uint8(0), uint8(1), 0.0, 3, 0.5, 0.1, uint8(0), uint8(24), uint8(3))
	f.Add([]byte{0, 0}, int64(0), int32(2), uint8(1), uint8(1), 0.0, 3, 0.5, 0.1, uint8(0), uint8(9), uint8(1))
	f.Add([]byte{9}, int64(0), int32(2), uint8(2), uint8(5), 0.0, 3, 0.5, 0.1, uint8(2), uint8(1), uint8(0))
	f.Add([]byte{200, 1}, int64(1)<<62, int32(70), uint8(7), uint8(9), -1.0, -3, 2.0, 7.0, uint8(9), uint8(0), uint8(2))
	f.Fuzz(func(t *testing.T, prompt []byte, most int64, eos int32, mode, experts uint8, temperature float64, topK int, topP, minP float64, sampler, rows, made uint8) {
		c := testConfig()
		c.Rows, c.Draws, c.Blocks = 1+int(rows%48), 1+int(rows%7), 8
		r := Request{MaxTokens: int(most), EOS: eos, Mode: Mode(mode), Policy: router.Uniform(int(experts)),
			Params: sample.Params{Temperature: temperature, TopK: topK, TopP: topP, MinP: minP, Sampler: sample.Sampler(sampler)}}
		for _, b := range prompt {
			r.Prompt = append(r.Prompt, int32(b))
		}
		if len(prompt) > 8 && prompt[0] == 255 { // any numbers
			for i := range min(len(prompt)/4, 8) {
				r.Prompt[i] = int32(binary.LittleEndian.Uint32(prompt[4*i:]))
			}
		}
		for i := range made % 8 {
			r.Made = append(r.Made, int32(3*i+experts))
		}
		l := newLine(t, c)
		asked := slices.Clone(r.Prompt)
		for range 3 {
			if _, err := l.submit(r); err != nil {
				if errors.Is(err, ErrFull) || strings.Contains(err.Error(), "\n") {
					t.Errorf("Submit: %v, want one line, and not ErrFull", err)
				}
				return
			}
		}
		clear(r.Prompt) // the scheduler has its own copy
		l.drain()
		for id, r := range l.asked {
			if !slices.Equal(r.Prompt, asked) {
				t.Fatal("the prompt has changed")
			}
			l.compare(id)
		}
	})
}
