// Package palette has the colours of experts and of heat maps, for terminals, pages and pictures alike.
//
// Every colour comes with the ink that is read on it, so that a chip of both looks the same on a dark and on a light
// ground. Colours are told apart by people who do not see red and green as others do: those of experts are the ones of
// Okabe and Ito ("Color Universal Design", 2008) with a grey instead of black, the scales run in lightness, and the
// diverging one from orange to blue. Figures always stand beside colours.
package palette
