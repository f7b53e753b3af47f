// Package pb is the control half of the plugin protocol, generated from plugin.proto.
package pb
