// Package tune searches for the number of experts that each layer should use when there are fewer to spend than the
// model would: [Cheapest] for the best sum of what single layers lose, exactly, and [Evolution] from there on with the
// loss of whole assignments, as layers do not lose independently (LExI, arXiv 2509.02753, has both steps in one).
//
// Counts are by layer, 1 or more; a budget is their sum. The package is arithmetic: who calls it measures.
package tune
