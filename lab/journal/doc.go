// Package journal keeps the measurements of an experiment in a file as they come, so that one that was stopped goes on
// where it was.
//
// The file is JSON, a line each: first what is measured, as named values, and then the measurements. Each line is
// written whole and reaches the disk before [Journal.Add] returns. What the end of a program or of the power has left of a
// last line is dropped when the file is opened again. The values have to be the same then: measurements of two different
// experiments in one table would mean nothing.
package journal
