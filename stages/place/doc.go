// Package place puts a model on devices: spans of layers (stages) and experts, and counts what each
// device has to hold.
//
//   - [ParseDevices] reads what a person writes, [Make] turns it into a [Plan], by a [Strategy] for the
//     experts. A strategy is a file that registers itself; [Plan.Check] guards all of them.
//   - [Plan.Budget] counts bytes before anything is loaded, and [Fit] compares them with memory: whoever
//     loads and whoever only plans use the same arithmetic.
//   - [Parameters], [Active], [ReadBytes] and [CacheBytesPerToken] are counts of the model alone.
//
// A placement never changes a result (N3), only where it is computed. Devices are a name, threads and a
// memory: nothing here opens one.
package place
