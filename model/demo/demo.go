// Package demo holds the small trained model that ships inside the program, so that it can show
// something on a computer with no checkpoint and no network.
//
// It is a language model of 11.6 million parameters with Grok-1's architecture in Grok-1's checkpoint format:
// 6 layers, 8 experts of which 2 are selected, 2,048 tokens. MODEL_CARD.md says what it can do and how it was
// trained, recipe/ makes it again, and testdata/reference/ holds what an independent implementation computes with it.
//
// The package only hands out bytes; reading them is the matter of ckpt and tokens.
package demo

import (
	"embed"
	"io/fs"
)

//go:embed config.json tokenizer.model ckpt-0
var files embed.FS

//go:embed testdata/reference/heldout.jsonl
var heldOut string

// HeldOut is text that the model was not trained on: 200 documents of seven domains, a line of JSON each with "text" and
// "domain". testdata/reference/perplexity.json has what an independent implementation makes of it.
func HeldOut() string { return heldOut }

// FS returns the demo model as a read-only model directory: config.json, tokenizer.model and the 74 pickles
// ckpt-0/tensor00000_000 to ckpt-0/tensor00073_000, 13,096,608 bytes. Its files implement io.ReaderAt, so that
// one tensor can be read without the others.
func FS() fs.FS { return files }
