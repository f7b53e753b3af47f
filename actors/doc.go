// Package actors carries batches through the pipeline: a head that schedules, stages that run spans of
// layers, routers that choose experts, experts that compute. What each of them decides is plain code in
// stages, router and stages/sched; an actor here is a thin carrier around it. The conversation is one
// file, messages.go.
//
//   - M1: a message gives away what it points to. A [credit] holds a batch and every message sent about
//     it; whoever has received it last is its one holder.
//   - M2: the head hands out a fixed number of credits and queues a fixed number of requests, so that
//     mailboxes and run queues need no bound of their own.
//   - A1: Receive returns promptly. Waiting is a message; long maths runs on the lane of its device, one
//     OS thread for all actors of that device, in turns of one message.
//   - B1: which libraries compute changes between batches. The head stamps a batch with the generation that
//     the ledger has; every device has a program of it by then, because the binder, a goroutine beside the
//     actors, has compiled it off the lanes and given it to each of them first.
//   - A2: an error of a kernel travels as a message and fails the requests of its batch. A panic is a
//     bug of ours: its actor stops. The keeper, a goroutine beside the actors, begins a new epoch and spawns it
//     anew, and the head has everything computed again that was lost with it; the bits are the same. Only the
//     head itself is not mended: the engine fails what is open and accepts nothing more.
package actors
