package sched

import (
	"errors"
	"math"
	"strings"
	"testing"

	"troupe/router"
)

func TestCheck(t *testing.T) {
	c := testConfig() // sequence_len 96, vocabulary 67, pad sizes 8, 24, 60, rows 24, draws 24, blocks 64
	small := c
	small.Blocks = 3 // 48 positions
	user := c
	user.PadSizes = []int{10, 20}
	few := c
	few.Draws = 4
	with := func(r Request, change func(*Request)) Request {
		change(&r)
		return r
	}
	for _, test := range []struct {
		name string
		c    Config
		r    Request
		want string // part of the error; "": no error
	}{
		{"one token", c, generation(1, 5), ""},
		{"pads inside", c, generation(4, 5, 0, 0, 6), ""},
		{"leading pads", c, generation(4, 0, 0, 6), ""},
		{"nothing but pads", c, generation(4, 0, 0), ""},
		{"fills the context", c, generation(16, counting(0, 80)...), ""},
		{"fills the cache", small, generation(9, counting(0, 40)...), ""},
		{"score of one token", c, with(generation(0, 5), func(r *Request) { r.Mode = Score }), ""},
		{"logits of the whole context", c, with(generation(0, counting(0, 96)...), func(r *Request) { r.Mode = Logits }), ""},
		{"longest prompt of the buckets", user, generation(40, counting(0, 20)...), ""},

		{"empty", c, generation(4), "the prompt has no tokens, want at least 1"},
		{"negative id", c, generation(4, 5, -1), "token 1 of the prompt is -1, want 0 to 66"},
		{"id behind the vocabulary", c, generation(4, 67), "token 0 of the prompt is 67, want 0 to 66"},
		{"prompt too long", c, generation(1, counting(0, 97)...), "the prompt has 97 tokens, want at most 96 (sequence_len): shorten it"},
		{"no room for a new one", c, generation(1, counting(0, 96)...), "as many as sequence_len: shorten it"},
		{"too many new ones", c, generation(17, counting(0, 80)...), "80 tokens and 17 new ones are wanted, together at most 96 (sequence_len): want at most 16 new ones"},
		{"absurdly many", c, generation(math.MaxInt, 5), "want at most 95 new ones"},
		{"none", c, generation(0, 5), "0 new tokens, want at least 1"},
		{"fewer than none", c, generation(-1, 5), "-1 new tokens, want at least 1"},
		{"new ones with a score", c, with(generation(1, 5), func(r *Request) { r.Mode = Score }), "1 new tokens, want 0"},
		{"some already", c, with(generation(3, 5), func(r *Request) { r.Made = []int32{7, 8} }), ""},
		{"some already, behind a bucket", c, with(generation(3, 0, 5), func(r *Request) { r.Made = []int32{7, 8} }), ""},
		{"all already", c, with(generation(2, 5), func(r *Request) { r.Made = []int32{7, 8} }), "has 2 new tokens already, want fewer than the 2"},
		{"already a bad id", c, with(generation(2, 5), func(r *Request) { r.Made = []int32{67} }), "new token 0 is 67, want 0 to 66"},
		{"already ended", c, with(generation(2, 5), func(r *Request) { r.EOS, r.Made = 7, []int32{7} }), "new token 0 is 7, which ends the request"},
		{"some already of a score", c, with(generation(0, 5), func(r *Request) { r.Mode, r.Made = Score, []int32{7} }), "has 1 new tokens already, want 0"},
		{"unknown mode", c, with(generation(1, 5), func(r *Request) { r.Mode = 3 }), "mode 3"},
		{"EOS out of range", c, with(generation(1, 5), func(r *Request) { r.EOS = 67 }), "EOS token 67, want 0 to 66, or -1"},
		{"negative EOS", c, with(generation(1, 5), func(r *Request) { r.EOS = -2 }), "EOS token -2"},
		{"sampling parameters", c, with(generation(1, 5), func(r *Request) { r.Params.TopP = 2 }), "top-p 2"},
		{"no policy", c, with(generation(1, 5), func(r *Request) { r.Policy = router.Policy{} }), "no policy"},
		{"too many experts", c, with(generation(1, 5), func(r *Request) { r.Policy = router.Uniform(6) }), "layer 0: count 6, want 1 to 5"},
		{"longer than the user's buckets", user, generation(1, counting(0, 21)...), "the prompt has 21 tokens, want at most 20, the largest of the pad sizes"},
		{"leading pads, bucket too large", c, generation(1, append([]int32{0}, counting(0, 30)...)...), "begins with 1 pad tokens (id 0), so its bucket of 60 rows runs in one batch, which has at most 24: leave the pads out, or allow 60 rows"},
		{"leading pads, too many results", few, with(generation(0, 0, 1, 2, 3, 4, 5), func(r *Request) { r.Mode = Score }), "its 5 results come out of one batch, which has at most 4"},
		{"more than the cache", small, generation(10, counting(0, 40)...), "needs 4 cache blocks for 49 positions, want at most 3"},
		{"bucket more than the cache", small, generation(1, append([]int32{0}, counting(0, 20)...)...), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScheduler(t, test.c)
			err := s.Check(test.r)
			if _, got := s.Submit(test.r); (got == nil) != (err == nil) {
				t.Errorf("Check says %v, Submit %v", err, got)
			}
			switch {
			case test.want == "" && err != nil:
				t.Errorf("Check: %v, want nil", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Check: %v, want … %s …", err, test.want)
			}
		})
	}
}

func TestFullHouse(t *testing.T) {
	c := testConfig()
	c.Sequences, c.Queue = 2, 1
	l := newLine(t, c)
	for i := range 3 {
		if _, err := l.submit(generation(3, 5, 6)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if _, err := l.submit(generation(3, 5, 6)); !errors.Is(err, ErrFull) {
		t.Errorf("fourth request of 2 + 1: %v, want ErrFull", err)
	}
	if st := l.s.Stats(); st.Running != 2 || st.Waiting != 1 {
		t.Errorf("%+v, want 2 running, 1 waiting", st)
	}
	l.drain()
	for id := range l.asked {
		l.compare(id)
	}
}

// TestNoQueue: without a line a request runs at once or is refused.
func TestNoQueue(t *testing.T) {
	c := testConfig()
	c.Sequences, c.Queue = 1, 0
	l := newLine(t, c)
	if _, err := l.submit(generation(2, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit(generation(2, 5)); !errors.Is(err, ErrFull) {
		t.Errorf("second request: %v, want ErrFull", err)
	}
	l.drain()
	if _, err := l.submit(generation(2, 5)); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	l.drain()
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"model", func(c *Config) { c.Model.Model.NumLayers = 0 }, "num_layers"},
		{"stages", func(c *Config) { c.Stages = 0 }, "limit of stages is 0, want 1 or more"},
		{"batches", func(c *Config) { c.Batches = 0 }, "limit of batches in flight is 0"},
		{"rows", func(c *Config) { c.Rows = -4 }, "limit of rows of a batch is -4"},
		{"draws", func(c *Config) { c.Draws = 0 }, "limit of draws of a batch is 0"},
		{"sequences", func(c *Config) { c.Sequences = 0 }, "limit of running sequences is 0"},
		{"queue", func(c *Config) { c.Queue = -1 }, "limit of waiting requests is -1, want 0 or more"},
		{"blocks", func(c *Config) { c.Blocks = 0 }, "limit of cache blocks is 0"},
		{"pad sizes not ascending", func(c *Config) { c.PadSizes = []int{8, 8} }, "pad sizes [8 8], want ascending sizes"},
		{"pad size beyond the context", func(c *Config) { c.PadSizes = []int{97} }, "want ascending sizes from 1 to sequence_len 96"},
	} {
		c := testConfig()
		test.change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: New: %v, want … %s …", test.name, err, test.want)
		}
	}
}

// TestPositions: a cache of as many blocks as Positions says is enough, and one less is not.
func TestPositions(t *testing.T) {
	for _, test := range []struct {
		name     string
		r        Request
		padSizes []int // the user's
		want     int
	}{
		{"prompt and new tokens, the last of which is not fed", generation(13, counting(0, 20)...), nil, 32},
		{"and one more", generation(14, counting(0, 20)...), nil, 33},
		{"leading pads fill the model's bucket", generation(1, append([]int32{0}, counting(0, 16)...)...), nil, 24},
		{"or the user's", generation(1, append([]int32{0}, counting(0, 16)...)...), []int{20}, 20},
		{"new tokens go beyond the bucket", generation(30, append([]int32{0}, counting(0, 6)...)...), nil, 36},
	} {
		c := testConfig()
		c.PadSizes = test.padSizes
		if got := c.Positions(test.r); got != test.want {
			t.Errorf("%s: Positions = %d, want %d", test.name, got, test.want)
		}
		for _, missing := range []int{0, 1} {
			c.Blocks = (test.want+15)/16 - missing
			if err := newScheduler(t, c).Check(test.r); (err != nil) != (missing > 0) {
				t.Errorf("%s: with %d blocks: %v", test.name, c.Blocks, err)
			}
		}
	}
}

func TestBucket(t *testing.T) {
	c := testConfig()
	user := c
	user.PadSizes = []int{10, 40}
	none := c
	none.Model.PadSizes = nil
	for _, test := range []struct {
		c       Config
		n, want int
	}{{c, 1, 8}, {c, 8, 8}, {c, 9, 24}, {c, 60, 60}, {c, 61, 61}, {user, 9, 10}, {user, 11, 40}, {none, 9, 9}} {
		if got := test.c.bucket(test.n); got != test.want {
			t.Errorf("pad sizes %v of the model, %v of the user: bucket(%d) = %d, want %d", test.c.Model.PadSizes, test.c.PadSizes, test.n, got, test.want)
		}
	}
}
