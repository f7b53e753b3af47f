// Package tokenlog keeps the tokens of a run in a file as they are drawn, so that a run whose program was ended goes on
// where it was.
//
// A token is a function of what stands before it, its parameters and its seed. So the tokens are all that has to be kept: whoever
// has them computes the caches again, and draws on as if nothing had happened.
//
// The file is lines of text, each the CRC-32C of its JSON in eight hex digits, a space, and the JSON. The first line, [Head],
// says what is run, as far as it changes tokens or results. Then come, in the order in which they happened: the
// standard input of the run, tokens of a request, the result of a request, kernels that were found wrong, and
// that a run went on.
//
//   - A [Log] writes behind the back of its callers: what is 100 ms old, or 256 tokens, is handed to the system in one
//     piece. The end of the program, by whatever signal, loses no more than that.
//   - It syncs the file once a second while there is something new, and when it is closed: the loss of power or of the
//     system costs about a second of work. The first line is synced before anything runs.
//   - What is lost is drawn again and comes out the same. So a last line that is torn, or several of which none is whole, are
//     dropped. A damaged line with whole ones behind it is an error: that is no end of a program.
//   - A Log whose file cannot be written fails for good. What it had written before is whole.
//   - The file is locked while it is open, where the system has such locks, so that no two runs write into one.
package tokenlog
