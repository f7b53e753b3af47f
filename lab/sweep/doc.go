// Package sweep measures what a model's texts, speed and bytes are like when its rows get their experts under one
// policy after the other, and puts the results side by side.
//
//   - [New] makes a [Sweep] of [Options]: documents × policies × seeds, and repetitions of short generations.
//   - [Sweep.Run] measures what is missing and hands each measurement on as soon as it is made; [Sweep.Take] is given
//     those of an earlier run. What comes of both is the same as of one run: losses do not depend on what runs beside.
//   - [Sweep.Report] sums up: tables, CSV and JSON are made of it, and [Report.Figures].
//
// Speeds are those of requests to the running engine, by the clock of the one who asks.
package sweep
