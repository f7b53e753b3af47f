package actors

import "time"

// Turn is one piece of mathematics on a device's lane: a stage's segment, or an expert's share of a batch.
type Turn struct {
	Device     int // index in the placement
	Stage      int // place in the pipeline; -1: an expert
	Layer      int // whose router or expert; of a stage's last segment the number of layers behind it
	Expert     int // -1: a stage
	Batch      uint64
	Rows       int
	Begin, End time.Duration // since the program's start
}

// Trace is told of every turn, on the lane where it happened, on several lanes at once. It must not wait.
type Trace func(Turn)
