package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"troupe/internal/tokenlog"
	"troupe/stages/sched"
)

// tokenLogFlags are the flags of run by which it can go on after its end.
func tokenLogFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "token-log", TakesFile: true, Category: category, DefaultText: "none",
			Usage: "`FILE` to keep tokens and results in as they come: whatever ends the run, --resume goes on"},
		&cli.StringFlag{Name: "resume", TakesFile: true, Category: category,
			Usage: "`LOG` of a run to go on with: it says what was run; all results are printed, none is computed twice"},
	}
}

// scribe keeps the tokens and results of a run in a log, and knows those of the run that it goes on with. A nil one keeps
// and knows nothing.
type scribe struct {
	*program
	log     *tokenlog.Log
	resumed bool
	events  bool // what is printed are events
	running bool // the log is written

	input  bytes.Buffer // what cannot be read again: the prompt, or standard input
	hash   hash.Hash    // of the file that prompts come from; nil: there is none
	digest string       // of the jobs
	mu     sync.Mutex
	open   int  // requests that can be run and have no result
	tokens int  // of these
	odd    bool // somebody was told of a log probability that differs
}

// readScribe reads --token-log and --resume, and sets the flags that the run of a log had.
func (p *program) readScribe(c *cli.Context) (k *scribe, err error) {
	name, resume := c.String("token-log"), c.String("resume")
	switch {
	case name == "" && resume == "":
		return nil, nil
	case name != "" && resume != "" && name != resume:
		return nil, usagef("--token-log with --resume: the run goes on in its own log: leave --token-log out")
	case c.IsSet("routing-trace"):
		return nil, usagef("--routing-trace with a token log: a run that goes on does not compute all rows again: leave one of both out")
	}
	k = &scribe{program: p, resumed: resume != ""}
	if !k.resumed {
		if k.log, err = tokenlog.Create(name); err != nil {
			return nil, fmt.Errorf("--token-log: %w", err)
		}
		k.events = c.Bool("json")
		return k, nil
	}
	if c.NArg() > 0 {
		return nil, usagef("PROMPT with --resume: the log has what is run: leave it out")
	}
	if k.log, err = tokenlog.Open(resume); err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	left, err := restoreFlags(c, k.log)
	if err != nil {
		closeInto(&err, k.log.Close)
		return nil, err
	}
	if len(left) > 0 {
		p.notice("%s was begun with %s too, which must be given again where they are wanted", k.log.Name(), strings.Join(left, ", "))
	}
	k.events = c.Bool("json")
	p.in = bytes.NewReader(k.log.Input())
	return k, nil
}

// copying has the bytes of a reader kept, or, if it is of a file that can be read again, hashed.
func (k *scribe) copying(r io.Reader) io.Reader {
	if k == nil || k.resumed && r == k.in {
		return r
	}
	if f, ok := r.(fs.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && r != k.in {
			k.hash = sha256.New()
			return io.TeeReader(r, k.hash)
		}
	}
	return io.TeeReader(r, &inputLimit{&k.input})
}

// inputLimit refuses more than a log keeps.
type inputLimit struct{ b *bytes.Buffer }

func (l *inputLimit) Write(b []byte) (int, error) {
	if l.b.Len()+len(b) > tokenlog.MaxInput {
		return 0, fmt.Errorf("--token-log: more than %d bytes that cannot be read again: put them in a file", tokenlog.MaxInput)
	}
	return l.b.Write(b)
}

// fits refuses what cannot be gone on with, and keeps a prompt.
func (k *scribe) fits(in input) error {
	switch {
	case k == nil:
	case in.interactive:
		return usagef("--token-log: no prompt: give one as an argument or on standard input, or --tokens or --prompts")
	case !k.resumed && !in.many && in.prompts[0].text != nil:
		k.input.WriteString(*in.prompts[0].text)
	}
	return nil
}

// prepare compares the jobs of a run with those of the log that it goes on with, and gives them what it has of them.
func (k *scribe) prepare(jobs []job) error {
	if k == nil {
		return nil
	}
	if k.digest = digest(jobs); !k.resumed {
		return nil
	}
	h := k.log.Head()
	switch {
	case h.Prompts != k.prompts():
		return fmt.Errorf("--resume: the file of --prompts is not what it was when %s was begun: take the old one, or begin anew without --resume", k.log.Name())
	case h.Requests != len(jobs) || h.Digest != k.digest:
		return fmt.Errorf("--resume: the requests are not those that %s was begun with: another model, tokenizer or file of --experts? take the old one, or begin anew without --resume", k.log.Name())
	}
	for i := range jobs {
		if err := jobs[i].remember(k.log.Tokens(i)); err != nil {
			return fmt.Errorf("--resume: %s: request %s: %w", k.log.Name(), jobs[i].id, err)
		}
	}
	done, begun, tokens := k.log.Count()
	k.tokens = tokens
	k.notice("%s has the results of %d of %s, and %s of %d that were begun", k.log.Name(), done, plural(h.Requests, "request"), plural(tokens, "token"), begun)
	return nil
}

// remember takes the tokens that an earlier run has made. The last of them is drawn again.
func (j *job) remember(past []tokenlog.Token) error {
	if len(past) == 0 {
		return nil
	}
	if j.err != nil {
		return fmt.Errorf("%d tokens of a request that cannot be run", len(past))
	}
	if n := j.request.MaxTokens; len(past) > n {
		return fmt.Errorf("%d tokens, and it asks for %d", len(past), n)
	}
	j.past = past
	for _, t := range past[:len(past)-1] {
		j.request.Made = append(j.request.Made, t.ID)
	}
	return nil
}

func (k *scribe) prompts() string {
	if k.hash == nil {
		return ""
	}
	return hex.EncodeToString(k.hash.Sum(nil))
}

// digest is of all that requests ask for.
func digest(jobs []job) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, j := range jobs {
		r, failed := j.request, ""
		if j.err != nil {
			failed = j.err.Error()
		}
		if err := e.Encode([]any{j.id, r.Prompt, r.MaxTokens, r.Params, r.Policy.String(), r.EOS, j.stops, j.routing, j.bucket, failed}); err != nil {
			panic(fmt.Sprintf("BUG: a request that is no JSON: %v", err)) // it came as such
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// left counts the jobs that a model is needed for, once they are checked.
func (k *scribe) left(jobs []job) (n int, err error) {
	if k == nil {
		return 1, nil
	}
	for _, j := range jobs {
		if j.err != nil && len(j.past) > 0 {
			return 0, fmt.Errorf("--resume: %s: request %s: %w", k.log.Name(), j.id, j.err)
		}
		if j.err == nil && !k.has(j) {
			n++
		}
	}
	k.open = n
	if !k.resumed {
		n = max(n, 1) // the model is opened, whatever becomes of the requests
	}
	return n, nil
}

// begin begins to write the log, once the model is open.
func (k *scribe) begin(c *cli.Context, l launch, s *session, jobs []job) error {
	if k == nil {
		return nil
	}
	identity, err := s.identity(l.config)
	if err != nil {
		return err
	}
	suspects := suspectsOf(s)
	if !k.resumed {
		h := tokenlog.Head{Program: readBuild().String(), Model: identity, Requests: len(jobs), Digest: k.digest, Prompts: k.prompts(),
			Settings: savedFlags(c, k.hash != nil)}
		if err := k.log.Begin(h, k.input.Bytes(), suspects); err != nil {
			return fmt.Errorf("--token-log: %w", err)
		}
		k.input, k.running = bytes.Buffer{}, true
		return nil
	}
	if want := k.log.Head().Model; want != identity {
		return fmt.Errorf("--resume: %s is of the model %s, and this is %s: give the one that it was begun with (--model, --overlay)", k.log.Name(), want, identity)
	}
	if err := k.log.Continue(readBuild().String(), suspects); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	k.running = true
	return nil
}

// suspectsOf gathers what the replicas of a session found wrong, in the order in which it hears of it. Generations are each
// replica's own; a token that is dropped for those of another one is drawn again, and no harm is done.
func suspectsOf(s *session) func() []tokenlog.Suspect {
	var all []tokenlog.Suspect
	heard := make([]int, len(s.fleet.Engines()))
	return func() []tokenlog.Suspect {
		for i := range heard {
			list := s.fleet.Suspects(i)
			for _, w := range list[heard[i]:] {
				all = append(all, tokenlog.Suspect{From: w.From, To: w.To})
			}
			heard[i] = len(list)
		}
		return all
	}
}

// token keeps a new token, if the log does not have it.
func (k *scribe) token(j job, e sched.Event) error {
	if k == nil || e.Index < len(j.past) {
		return nil
	}
	k.mu.Lock()
	k.tokens++
	k.mu.Unlock()
	return k.log.Add(j.number, e.Index, tokenlog.Token{ID: e.Token, LogProb: e.LogProb, Generation: e.Generation, Since: e.Since})
}

// keptResult is the result of a request as the log has it. What events say beside it is there where they are printed.
type keptResult struct {
	Line        json.RawMessage `json:"line"` // the result as it is printed
	LogProbs    []float32       `json:"logprobs,omitempty"`
	Generations []uint64        `json:"generations,omitempty"`
	Routing     []pathLists     `json:"routing,omitempty"`
}

// add notes a token.
func (r *keptResult) add(k *scribe, e sched.Event) {
	if k == nil || !k.events {
		return
	}
	r.LogProbs, r.Generations = append(r.LogProbs, e.LogProb), append(r.Generations, e.Generation)
}

// finish keeps the result of a request that has come to its end. Others are tried again by a run that goes on.
func (k *scribe) finish(j job, r result, also keptResult) error {
	if k == nil || r.Finish == finishCancelled || r.Finish == finishFailed {
		return nil
	}
	if k.events {
		also.Routing, r.Routing = r.Routing, nil // as the last of the events
	}
	var line bytes.Buffer
	if err := writeJSON(&line, r); err != nil {
		return err
	}
	also.Line = bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	k.mu.Lock()
	k.open--
	k.tokens -= len(r.Tokens)
	k.mu.Unlock()
	return k.log.Finish(j.number, also)
}

// has tells whether an earlier run has the result of a job.
func (k *scribe) has(j job) bool { return k != nil && k.resumed && k.log.Done(j.number) }

// result reads it.
func (k *scribe) result(j job) (kept keptResult, r result, err error) {
	if err = k.log.Result(j.number, &kept); err != nil {
		return kept, r, err
	}
	if err = json.Unmarshal(kept.Line, &r); err == nil {
		switch {
		case !bytes.Equal(r.ID, j.id) || r.PromptTokens != len(j.request.Prompt) || len(r.Tokens) > j.request.MaxTokens:
			err = errors.New("it is not of this request")
		case len(kept.LogProbs) != len(kept.Generations) || k.events && len(kept.LogProbs) != len(r.Tokens):
			err = fmt.Errorf("%d tokens with %d log probabilities and %d generations", len(r.Tokens), len(kept.LogProbs), len(kept.Generations))
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: the result of request %s: %w", k.log.Name(), j.id, err)
	}
	return kept, r, err
}

// differs tells, once, that a token came with another log probability than the log has.
func (k *scribe) differs(j job) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.odd {
		k.odd = true
		k.notice("%s: request %s: a token that was drawn again is the same, its log probability is not: these kernels are not bit for bit those that the log was begun with, and what follows may differ",
			k.log.Name(), j.id)
	}
}

// end closes the log, and says how to go on if there is something left.
func (k *scribe) end() error {
	if k == nil {
		return nil
	}
	err := k.log.Close()
	if k.running && k.open > 0 {
		k.notice("%s has %s of %s without a result: go on with: troupe run --resume %s", k.log.Name(), plural(k.tokens, "token"), plural(k.open, "request"), k.log.Name())
	}
	return err
}
