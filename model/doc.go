// Package model describes model families as data: their configuration with the reference's field names,
// their tensors' names, order and shapes, and the plan of a layer as a short list of ops.
//
// It computes nothing and reads no tensor. [Config] is what a config.json holds, [Tensors] turns it into
// what a checkpoint must contain, [NewPlan] into which ops run on which buffers. A family is one file
// with those two lists; grok1.go is the first.
package model
