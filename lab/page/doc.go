// Package page writes the routing of texts as one HTML file: every word in the colour of its likeliest expert in a
// layer, a choice of layers, the experts and gates of the word at hand, and the loads as a heat map.
//
// The file stands by itself: it loads nothing, and its Content-Security-Policy allows no other script or style than its
// own, by their hashes. Texts are hostile until escaped: html/template does that, and what would move a cursor or turn
// the direction of writing is shown as a sign ([Visible]). Without JavaScript it is the text in one layer's colours.
package page
