package golden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"troupe/internal/load"
	"troupe/internal/npy"
	"troupe/kernels"
	"troupe/model/demo"
	"troupe/router"
	"troupe/tokens"
)

const demoReference = "../../model/demo/testdata/reference"

func openDemo(t *testing.T) (*load.Model, *tokens.Tokenizer) {
	t.Helper()
	m, err := openDir(t.Context(), demo.FS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	raw, err := fs.ReadFile(demo.FS(), "tokenizer.model")
	if err != nil {
		t.Fatal(err)
	}
	return m, must(tokens.New(raw))(t)
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(demoReference, name))
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Greedy continuations of the demo model, and the logits of their first steps.
func TestDemoGreedy(t *testing.T) {
	m, _ := openDemo(t)
	var ref struct {
		Prompts []struct {
			Name   string  `json:"name"`
			Tokens []int32 `json:"tokens"`
			Greedy []int32 `json:"greedy"`
		} `json:"prompts"`
	}
	readJSON(t, "greedy.json", &ref)
	if len(ref.Prompts) != 12 {
		t.Fatalf("%d prompts, want 12", len(ref.Prompts))
	}
	l := open(t, m, kernels.Exact, "", nil)
	for _, p := range ref.Prompts {
		want, err := npy.ReadFile(filepath.Join(demoReference, p.Name+"_logits.npy"))
		if err != nil {
			t.Fatal(err)
		}
		logits := must(l.Prefill(p.Tokens, 0))(t)
		last, v := logits[len(logits)-1], m.Config.VocabSize
		for i, token := range p.Greedy {
			if i < want.Shape[0] {
				near(t, fmt.Sprintf("%s step %d", p.Name, i), last, want.Float32[i*v:(i+1)*v], 1e-4)
			}
			if got := argmax(last); got != token {
				t.Fatalf("%s: token %d: got %d, want %d", p.Name, i, got, token)
			}
			last = must(l.Decode(token, len(p.Tokens)+i, 0))(t)
		}
	}
}

// The loss of held-out documents with 1, 2, 4 and 8 experts: within 0.1 % of the reference in exact,
// within 1 % in int8. The first documents, two of each domain, stand for all; `troupe eval` computes all.
func TestDemoLoss(t *testing.T) {
	const documents = 14
	m, tok := openDemo(t)
	var ref []map[string]any
	readJSON(t, "heldout_documents.json", &ref)
	f, err := os.Open(filepath.Join(demoReference, "heldout.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var docs [][]int32
	for lines := bufio.NewScanner(f); lines.Scan() && len(docs) < documents; {
		var doc struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, append(tok.Encode(doc.Text), tok.EOSID()))
	}
	for _, c := range []struct {
		arith   kernels.Arith
		experts int
		within  float64
	}{{kernels.Exact, 1, 0.001}, {kernels.Exact, 2, 0.001}, {kernels.Exact, 4, 0.001}, {kernels.Exact, 8, 0.001}, {kernels.Int8, 2, 0.01}} {
		l := open(t, m, c.arith, "", nil)
		l.Policy = router.Uniform(c.experts)
		got, want, n := 0.0, 0.0, 0
		for i, ids := range docs {
			if ref[i]["tokens"].(float64) != float64(len(ids)-1) {
				t.Fatalf("document %d: %d ids, want %v", i, len(ids)-1, ref[i]["tokens"])
			}
			got += must(l.Loss(ids))(t)
			want += ref[i][fmt.Sprintf("top-%d", c.experts)].(float64)
			n += len(ids) - 1
		}
		t.Logf("%v, %d experts: %.6f nats a token, reference %.6f: %+.4f %%", c.arith, c.experts, got/float64(n), want/float64(n), 100*(got/want-1))
		if !(math.Abs(got/want-1) <= c.within) {
			t.Errorf("%v, %d experts: loss %.6f, want %.6f within %v", c.arith, c.experts, got/float64(n), want/float64(n), c.within)
		}
	}
}
