package wire

import "google.golang.org/protobuf/proto"

// Protocol is what both sides must agree on. It grows with every change that the other side would misread.
const Protocol = 3

// Piece is how many bytes of values a message carries at most, unless a single row has more.
const Piece = 256 << 10

// ToWorker are the messages that a worker takes in over the link.
func ToWorker() []proto.Message {
	return []proto.Message{&Hello{}, &Beat{}, &Bye{}, &Open{}, &Shut{}, &Leave{}, &Revive{}, &Kill{}, &Fetched{}}
}

// ToHead are those that a head takes in.
func ToHead() []proto.Message {
	return []proto.Message{&Welcome{}, &Refused{}, &Beat{}, &Bye{}, &Done{}, &Fetch{}, &Fetching{}}
}

// DataToWorker are the messages that a worker takes in over the connection for batches. Their order is their number.
func DataToWorker() []proto.Message {
	return []proto.Message{&Bye{}, &Rows{}, &Pass{}, &Work{}, &Part{}}
}

// DataToHead are those that a head takes in there.
func DataToHead() []proto.Message {
	return []proto.Message{&Bye{}, &Rows{}, &Routed{}, &Back{}, &Work{}, &Part{}, &Died{}}
}
