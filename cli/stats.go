package main

import (
	"fmt"
	"io"

	"troupe/actors"
)

// engineStats is what an engine has done since its start; its names are a promise.
type engineStats struct {
	Waiting      int           `json:"waiting"` // requests
	Running      int           `json:"running"`
	InFlight     int           `json:"in_flight"`     // batches
	Tokens       uint64        `json:"tokens"`        // made
	PromptTokens uint64        `json:"prompt_tokens"` // read
	Batches      uint64        `json:"batches"`
	Cache        cacheStats    `json:"cache"`
	Stages       []stageStats  `json:"stages"`
	Devices      []deviceStats `json:"devices"`
	Losses       lossStats     `json:"losses"`
}

// cacheStats is about blocks of the KV cache.
type cacheStats struct {
	Lent   int `json:"lent"`
	Blocks int `json:"blocks"`
	Most   int `json:"most"` // lent at a time
}

type stageStats struct {
	First  int     `json:"first_layer"`
	Last   int     `json:"last_layer"`
	Device int     `json:"device"`
	Busy   float64 `json:"busy_seconds"`
}

type deviceStats struct {
	Name string  `json:"name"`
	Busy float64 `json:"busy_seconds"`
}

func statsOf(s actors.Stats) engineStats {
	e := engineStats{Waiting: s.Sched.Waiting, Running: s.Sched.Running, InFlight: s.Sched.InFlight, Tokens: s.Sched.Tokens,
		PromptTokens: s.Sched.PromptRows, Batches: s.Sched.Batches, Cache: cacheStats{s.Sched.Cache.Lent, s.Sched.Cache.Blocks, s.Sched.Cache.Most}}
	for _, st := range s.Stages {
		e.Stages = append(e.Stages, stageStats{st.Span.Lo, st.Span.Hi - 1, st.Device, st.Busy.Seconds()})
	}
	for _, d := range s.Devices {
		e.Devices = append(e.Devices, deviceStats{d.Name, d.Busy.Seconds()})
	}
	e.Losses = lossesOf(s.Losses)
	return e
}

// lossStats is about parts that have died.
type lossStats struct {
	Deaths     int     `json:"deaths"`
	Recoveries int     `json:"recoveries"`
	Replayed   int     `json:"rows_computed_again"` // by stages that had lost their cache
	Resent     int     `json:"batches_sent_again"`
	GivenUp    int     `json:"batches_given_up"`
	Longest    float64 `json:"longest_recovery_ms"`
}

func lossesOf(l actors.Losses) lossStats {
	return lossStats{l.Deaths, l.Recoveries, l.Replayed, l.Resent, l.GivenUp, millis(l.Longest)}
}

// print writes the figures for people.
func (s engineStats) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "  %s made, %s read, in %s\n  %s under way, %d waiting\n  cache: %d of %d blocks in use, %d at most so far\n",
		plural(int(s.Tokens), "token"), plural(int(s.PromptTokens), "prompt token"), counted(int(s.Batches), "batch", "batches"),
		plural(s.Running, "request"), s.Waiting, s.Cache.Lent, s.Cache.Blocks, s.Cache.Most)
	for i, st := range s.Stages {
		fmt.Fprintf(w, "  stage %d: layers %d-%d on device %d, busy %.3g s\n", i, st.First, st.Last, st.Device, st.Busy)
	}
	for i, d := range s.Devices {
		fmt.Fprintf(w, "  device %d: %s, busy %.3g s\n", i, d.Name, d.Busy)
	}
	if l := s.Losses; l.Deaths > 0 {
		fmt.Fprintf(w, "  %s died, %s: %s computed again, %s sent again, %d given up, %.3g ms at most\n", plural(l.Deaths, "part"),
			counted(l.Recoveries, "recovery", "recoveries"), plural(l.Replayed, "row"), counted(l.Resent, "batch", "batches"), l.GivenUp, l.Longest)
	}
	return err
}
