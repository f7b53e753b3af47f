package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/tokens"
)

func (p *program) tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name: "tokenize", Usage: "text to token ids and back", ArgsUsage: "[TEXT]",
		Description: `Prints the ids of a text, which is the argument or else standard input, byte for
byte. No BOS or EOS is added. With --decode it reads ids and prints text.

troupe tokenize "Once upon a time"
troupe tokenize --decode 5,17,3
troupe tokenize --tokenizer tokenizer.model --jsonl < texts.jsonl`,
		Flags: []cli.Flag{
			modelFlag(),
			&cli.StringFlag{Name: "tokenizer", Usage: "`FILE` tokenizer.model, instead of a model directory", TakesFile: true},
			&cli.BoolFlag{Name: "decode", Usage: "ids to text"},
			&cli.BoolFlag{Name: "jsonl", Usage: `read lines {"text_base64": …} or {"ids": …} and write both fields; of a line with both, --decode says which is read`},
		},
		Action: p.tokenize,
	}
}

func (p *program) tokenize(c *cli.Context) error {
	if c.IsSet("model") && c.IsSet("tokenizer") {
		return usagef("--model and --tokenizer: give one of them")
	}
	t, err := openTokenizerFor(c)
	if err != nil {
		return err
	}
	if c.Bool("jsonl") {
		if c.NArg() > 0 {
			return usagef("--jsonl: it reads standard input: leave %q out", c.Args().First())
		}
		return p.tokenizeLines(t, c.Bool("decode"))
	}
	text, err := p.argumentOrInput(c, "TEXT")
	if err != nil {
		return err
	}
	if !c.Bool("decode") {
		_, err = fmt.Fprintln(p.out, formatIDs(t.Encode(text)))
		return err
	}
	ids, err := parseIDs(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }), ","))
	if err != nil {
		return usagef("--decode: %w", err)
	}
	decoded, err := t.Decode(ids)
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.out, decoded+p.lineEnd())
	return err
}

// tokenLine is a line of --jsonl. Base64, since a text need not be UTF-8.
type tokenLine struct {
	Text *string  `json:"text_base64"`
	IDs  *[]int32 `json:"ids"`
}

func (p *program) tokenizeLines(t *tokens.Tokenizer, decode bool) error {
	out := bufio.NewWriter(p.out)
	defer out.Flush()
	for line, err := range jsonLines(p.in) {
		if err != nil {
			return err
		}
		var l tokenLine
		if err := line.decode(&l); err != nil {
			return err
		}
		if err := l.fill(t, decode); err != nil {
			return fmt.Errorf("line %d: %w", line.number, err)
		}
		if err := writeJSON(out, l); err != nil {
			return err
		}
	}
	return out.Flush()
}

// fill computes one field from the other.
func (l *tokenLine) fill(t *tokens.Tokenizer, decode bool) error {
	switch {
	case l.IDs != nil && (decode || l.Text == nil):
		text, err := t.Decode(*l.IDs)
		coded := base64.StdEncoding.EncodeToString([]byte(text))
		l.Text = &coded
		return err
	case l.Text != nil && !decode:
		text, err := base64.StdEncoding.DecodeString(*l.Text)
		if err != nil {
			return fmt.Errorf("text_base64: %w", err)
		}
		ids := t.Encode(string(text))
		if ids == nil {
			ids = []int32{} // [] in JSON
		}
		l.IDs = &ids
		return nil
	case decode:
		return errors.New("no ids to decode")
	}
	return errors.New("neither text_base64 nor ids")
}

// openTokenizerFor opens the tokenizer that --tokenizer or --model names.
func openTokenizerFor(c *cli.Context) (*tokens.Tokenizer, error) {
	file := c.String("tokenizer")
	if file == "" {
		dir, err := modelDir(c.String("model"))
		if err != nil {
			return nil, err
		}
		return dir.tokenizer()
	}
	raw, err := readAtMost(c.Context, file, maxTokenizer)
	if err != nil {
		return nil, err
	}
	t, err := tokens.New(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// argumentOrInput is the one argument of a command or, when there is none, all of standard input.
func (p *program) argumentOrInput(c *cli.Context, what string) (string, error) {
	switch {
	case c.NArg() > 1:
		return "", usagef("%d arguments, want one %s: put it in quotes", c.NArg(), what)
	case c.NArg() == 1:
		return c.Args().First(), nil
	case isTerminal(p.in):
		return "", usagef("no %s: give it as an argument or on standard input", what)
	}
	raw, err := await(c.Context, func() ([]byte, error) { return io.ReadAll(io.LimitReader(p.in, maxLine+1)) })
	if err == nil && len(raw) > maxLine {
		err = fmt.Errorf("standard input: longer than %d bytes", maxLine)
	}
	return string(raw), err
}

// lineEnd ends a text on a terminal, where the prompt would stick to it; elsewhere output is exact.
func (p *program) lineEnd() string {
	if f, ok := p.out.(*os.File); ok && isTerminal(f) {
		return "\n"
	}
	return ""
}
