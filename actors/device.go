package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"troupe/stages/place"
)

// device is one memory with its threads and its lane.
type device struct {
	place.Device
	lane runner
	host *host // that has it; nil: it is in this process
}

// runner is a lane as the engine sees it; tests have another one that shuffles turns.
type runner interface {
	actor.Dispatcher
	do(func())           // on the lane, and waits for it
	busy() time.Duration // spent in turns
	stop()               // after all queued turns
}
