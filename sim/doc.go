// Package sim puts a virtual world in the place of threads and networks: head and workers of package actors run in one
// process, with the same code, while lanes take the time that a model of costs says, and messages that of a model of links.
//
//   - A [Loop] runs one event at a time, in order of virtual time. Which of several comes first at the same time is drawn
//     from the seed, so a run repeats itself.
//   - A lane hands its turns to the loop. A kernel that is charged for lets virtual time pass in the middle of its turn.
//   - A [World] has hosts with links of a latency and a bandwidth, which can be killed, frozen, cut off and slowed down.
//   - With the clock of the time package, in a bubble of testing/synctest, the engine's own tickers and deadlines are part of
//     the simulation: companies lose workers there. Without, time jumps from event to event, and signs of life take none:
//     [Predict] tells so how fast a placement would be.
package sim
