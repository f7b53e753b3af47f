// Package fleet lets several engines with the same model, replicas, share the requests that come in.
//
// A request goes to the replica with the least to do, counted in positions that its open requests may still compute, and
// stays there. Where it runs never changes what it gives (N3). The fleet has no queue of its own: a request that every
// replica refuses as full is refused (M2).
package fleet
