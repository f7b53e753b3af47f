package wire

import "google.golang.org/protobuf/proto"

// Protocol is what both sides must agree on. It grows with every change that the other side would misread.
const Protocol = 1

// Piece is how many bytes of values a message carries at most, unless a single row has more.
const Piece = 256 << 10

// ToWorker are the messages that a worker takes in.
func ToWorker() []proto.Message {
	return []proto.Message{&Hello{}, &Beat{}, &Bye{}, &Open{}, &Shut{}, &Revive{}, &Kill{}, &Rows{}, &Pass{}, &Work{}, &Part{}}
}

// ToHead are those that a head takes in.
func ToHead() []proto.Message {
	return []proto.Message{&Welcome{}, &Refused{}, &Beat{}, &Bye{}, &Done{}, &Died{}, &Rows{}, &Routed{}, &Back{}, &Work{}, &Part{}}
}
