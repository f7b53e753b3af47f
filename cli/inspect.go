package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/ckpt"
	"troupe/internal/load"
	"troupe/model"
	"troupe/tensor"
)

func (p *program) inspectCommand() *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show a model's configuration and tensors, and check its files",
		Description: `Reads the header of every file and the scales, not the weights. A directory
without config.json is recognised if it is the released Grok-1. The exit code
is 1 when a check fails. With --overlay the configuration and the parameters are
those of the model that it makes, the tensors those of the files.

--verify reads everything: it compares the checksums of a packed model
(model.troupe) and names every array that is damaged. Pickles have none; there
it sees that all can be read and that every float32 value is finite.

troupe inspect
troupe inspect -m grok-1 --json
troupe inspect -m grok-1-packed --verify`,
		Flags: []cli.Flag{modelFlag(), overlayFlag(""), jsonFlag("print everything as one JSON object, each tensor included"),
			&cli.BoolFlag{Name: "verify", Usage: "read all bytes and compare checksums"}},
		Action: p.inspect,
	}
}

// inspection is what inspect finds.
type inspection struct {
	Model      string         `json:"model"`
	Config     model.Config   `json:"config"`
	Source     string         `json:"config_source"` // "config.json", or how the model was recognised
	Container  string         `json:"container"`     // "xai" or "packed"
	Parameters int64          `json:"parameters"`
	Bytes      int64          `json:"bytes"` // of the tensors' files, or of the one
	Tensors    []tensorReport `json:"tensors"`
	Checks     []check        `json:"checks"`
	headers    []ckpt.Header
	files      model.Config // what the files are held against
}

type tensorReport struct {
	Name   string       `json:"name"`
	File   string       `json:"file"`
	Shape  tensor.Shape `json:"shape"`
	DType  string       `json:"dtype"`
	Groups int          `json:"scale_groups"`
	Offset int64        `json:"offset"` // of the array in its file
	Bytes  int64        `json:"bytes"`  // of the file; of the tensor's arrays in a packed file
	class  string
}

// check is one finding: passed, failed, or a note about what cannot be checked.
type check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // "ok", "failed", "note"
	Detail string `json:"detail"`
}

func (p *program) inspect(c *cli.Context) error {
	dir, err := modelDir(c.String("model"))
	if err != nil {
		return err
	}
	config, r, err := dir.rearrange(c.Context, c.String("overlay"))
	if err != nil {
		return err
	}
	i := &inspection{Model: dir.name, Config: config, files: r.files, Source: "config.json"}
	if _, err := fs.Stat(dir, "config.json"); err != nil {
		i.Source = "recognised as Grok-1 by its files"
	}
	i.checkHeaders(c.Context, p, dir, c.Bool("verify"))
	i.checkTokenizer(dir)
	if r.overlay != nil {
		i.Source += ", with --overlay"
		i.Parameters = 0
		for _, t := range model.Tensors(i.Config) {
			elems, _ := t.Shape.Elems() // Validate has bounded them
			i.Parameters += elems
		}
		i.note("overlay", "ok", "%s", describeOverlay(r.files, r.overlay))
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if c.Bool("json") {
		err = writeJSON(p.out, i)
	} else {
		err = i.print(p)
	}
	if err == nil && i.failed() > 0 {
		err = fmt.Errorf("%s: %d of %d checks failed", dir.name, i.failed(), len(i.Checks))
	}
	return err
}

func (i *inspection) note(name, result, format string, args ...any) {
	i.Checks = append(i.Checks, check{name, result, fmt.Sprintf(format, args...)})
}

// try adds a check that fails with an error, and tells whether it passed.
func (i *inspection) try(name string, err error, passed string) bool {
	if err != nil {
		i.note(name, "failed", "%v", err)
		return false
	}
	i.note(name, "ok", "%s", passed)
	return true
}

func (i *inspection) failed() (n int) {
	for _, c := range i.Checks {
		if c.Result == "failed" {
			n++
		}
	}
	return n
}

// checkHeaders reads all headers, compares them with the configuration, and then looks at values.
func (i *inspection) checkHeaders(ctx context.Context, p *program, dir directory, verify bool) {
	i.Container = containerXAI
	if ckpt.HasPacked(dir) {
		i.Container = containerPacked
	}
	opt := ckpt.Options{Log: p.logs.part("ckpt")}
	report, end := p.progress("reading headers", inBytes)
	opt.Progress = report
	var err error
	i.headers, err = load.Scan(ctx, dir, i.files, opt)
	end()
	if !i.try("headers", err, i.fileCount()+map[string]string{containerXAI: ", every pickle and offset", containerPacked: ", every offset"}[i.Container]) {
		return
	}
	wants := model.Tensors(i.files)
	i.addTensors(wants)
	if info, err := fs.Stat(dir, ckpt.PackedName); err == nil {
		i.Bytes = info.Size() // with its header and padding
	}
	if !i.try("tensors", ckpt.Compare(i.headers, load.Wants(i.files)), "shapes, dtypes and scale groups as configured") {
		return
	}
	if i.Container == containerXAI {
		i.note("layer order", "note", "taken as 0, 1, 10, …, 2, as released: layers of one shape cannot tell")
	}
	if sparse(dir, i.headers) {
		i.note("values", "note", "none: the files are sparse")
		return
	}
	opt.Prefault = verify
	report, end = p.progress("checking values", inBytes)
	opt.Progress = report
	m, err := load.Open(ctx, dir, i.files, opt)
	end()
	if err == nil {
		err = m.Close()
	}
	small := " up to 16 MiB"
	if verify {
		small = ""
	}
	if i.try("values", err, "scales positive and finite, float32 arrays"+small+" finite") && verify {
		i.verify(ctx, p, dir)
	}
}

// verify compares checksums.
func (i *inspection) verify(ctx context.Context, p *program, dir directory) {
	if i.Container != containerPacked {
		i.note("checksums", "note", "pickles have none; every byte could be read")
		return
	}
	report, end := p.progress("comparing checksums", inBytes)
	damaged, err := ckpt.Verify(ctx, dir, load.Wants(i.files), ckpt.Options{Log: p.logs.part("ckpt"), Progress: report})
	end()
	for _, d := range damaged {
		i.note("checksums", "failed", "%v", d)
	}
	if err != nil || len(damaged) == 0 {
		i.try("checksums", err, "CRC-32C of every array")
	}
}

// fileCount says how many files hold how many tensors.
func (i *inspection) fileCount() string {
	if i.Container == containerPacked {
		return fmt.Sprintf("%d tensors of %s", len(i.headers), ckpt.PackedName)
	}
	return fmt.Sprintf("%d files", len(i.headers))
}

// addTensors joins headers with names, as far as both go.
func (i *inspection) addTensors(wants []model.Tensor) {
	for n, h := range i.headers {
		elems, _ := h.Weight.Shape.Elems() // Scan has counted them
		i.Parameters += elems
		i.Bytes += h.Bytes
		t := tensorReport{File: h.File, Shape: h.Weight.Shape, DType: h.Weight.DType.String(), Groups: h.Groups, Offset: h.Offset, Bytes: h.Bytes}
		if n < len(wants) {
			t.Name = wants[n].Name
			t.class = t.Name
			if l := wants[n].Layer; l >= 0 {
				t.class = strings.Replace(t.Name, fmt.Sprint("decoder_layer_", l, "/"), "decoder_layer_*/", 1)
			}
		}
		i.Tensors = append(i.Tensors, t)
	}
}

func (i *inspection) checkTokenizer(dir directory) {
	if _, err := fs.Stat(dir, "tokenizer.model"); err != nil {
		i.note("tokenizer", "note", "none: only ids can be used")
		return
	}
	t, err := dir.tokenizer()
	if err == nil {
		err = t.Check(i.Config.VocabSize)
	}
	if err != nil {
		i.note("tokenizer", "failed", "%v", err)
		return
	}
	i.note("tokenizer", "ok", "%d pieces; ids: pad %d, bos %d, eos %d, unknown %d", t.VocabSize(), t.PadID(), t.BOSID(), t.EOSID(), t.UnknownID())
	if int(t.EOSID()) != i.Config.EOSToken {
		i.note("end of text", "note", "%d in the tokenizer, %d in the configuration, which counts", t.EOSID(), i.Config.EOSToken)
	}
}
