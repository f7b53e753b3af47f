// Command troupe runs Grok-1-class mixture-of-experts language models through a pipeline of actors.
//
// This package is where all parts meet and where the command line is: one file per command, named like
// it. It reads flags, opens a model, starts the engine, and turns events into text; it computes nothing.
// What the commands and flags are called, and what they print where, is a promise: scripts rely on it.
//
//   - Results go to standard output, everything else to standard error.
//   - Exit codes: 0 ok, 1 failed, 2 wrong usage.
//   - A flag is also the environment variable TROUPE_FLAG_NAME and a key of the file that --config
//     names; the command line wins over the environment, and that over the file.
//   - U1: nothing is cut, chosen or left out silently: a line on standard error or a field says it.
package main
