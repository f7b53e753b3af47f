// Package look counts what experts do: how often each is used and how strongly, with which others and for which
// tokens, and how two runs differ. Everything is a function of the documents of lab/trace, added one by one, so that a
// file of any length takes the memory of its counts. Nothing is shown here: see lab/page and the program.
//
//	Counts    loads, gates and first choices by layer and expert; shares, entropy, lift
//	Domains   the same for each domain of the texts
//	Pairs     which experts are used together: co-activation, Jaccard index, cosine of gates
//	Tokens    which tokens an expert gets more often than its load lets one expect
//	Diff      two runs of the same texts, token by token
//	TotalVariation, JensenShannon   how far two loads are apart
//
// A token "uses" the experts that its routing names in a layer; experts with a gate of 0, as of a policy that observes,
// count as used. Sums run in the order of the documents: the same files give the same bits.
package look
