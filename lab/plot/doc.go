// Package plot draws figures of experiments: [Chart]s of points and lines with error bars, [Heat] maps, and several
// of them side by side ([Tile]). It is handed numbers and words, and writes PNG or SVG.
//
// Figures are for readers on white paper and white screens: colours are those of Okabe and Ito, which people with
// any colour vision can tell apart, marks have shapes of their own, and lines are named beside their ends rather than in a box.
// The same figure has the same bytes on every machine.
package plot
