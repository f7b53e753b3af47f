// Package mirror keeps copies of parts of a model directory: a worker's layers and experts, fetched from the host that
// has the whole, or staged in memory.
//
// Who has the directory describes it ([Describe]): a [Manifest] lists its files and which bytes of them belong to
// which tensor and expert. Who needs a part opens a [Mirror] for that manifest, fetches what it wants from a [Source],
// and reads the mirror as the model directory that it is a part of.
//
//	[Open]           finds or begins the copy of a manifest in a cache directory
//	[Mirror.Fetch]   gets what is missing of the tensors wanted
//	[Mirror.Verify]  reads what is there again, and drops what is damaged
//	[Sweep]          removes copies in memory whose processes have died
//
// # On disk
//
// A cache directory has one directory per manifest, named by its identity. In it every file is named by its number
// (nothing that came over a wire becomes a path), has its true size and holes where nothing was fetched, and the file
// "pieces" is a journal of the pieces of 1 MiB that are there, with their sums.
//
// # Invariants
//
//  1. A piece is in the journal only once its bytes have had the right SHA-256 and are on disk. What kills a fetch
//     costs the pieces on their way: the next one goes on from there.
//  2. A byte that was not fetched is never read as a zero: files refuse ([Mirror.Open], ckpt.Sparse) what is not there.
//  3. A cache directory takes at most its limit of disk. Copies that nobody uses make room, those not used for longest
//     first; else it is an error before the first byte.
//  4. Processes share a copy: each has a shared lock on it, one at a time fills it. The system unlocks what a process
//     held when it dies, whatever it dies of.
//  5. Manifests and sources are hostile until checked: no name, size or sum is believed.
package mirror
