// Package model describes model families as data: their configuration with the reference's field names,
// their tensors' names, order and shapes, and the plan of a layer as a short list of ops.
//
// It computes nothing and reads no tensor. [Config] is what a config.json holds, [Family] turns it into
// a list of [Tensor] (what a checkpoint must contain) and a [Plan] (which ops run on which buffers).
// A family is one file that registers itself; grok1.go is the example.
package model
