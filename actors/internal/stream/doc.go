// Package stream is a connection of its own between a head and a worker for what is large: values of batches. Over the
// link each byte is copied several times and passes three goroutines a side; here a message is written from the
// goroutine that sends it, and read by one.
//
// A worker listens. Who comes in says a secret that it was told over the link, so that a connection belongs to one
// peer and one purpose, and each secret lets one in. With TLS settings both sides show certificates as on the link;
// without them it is plain text, which is for loopback alone.
//
// On the connection travel frames: the bytes of the message in protobuf (uint32, little end first, as all numbers
// here), its kind (uint8, place in a list that both sides have), the actor that it is for (uint32, a number whose
// meaning is the user's), the bytes of its tail (uint32), the message and the tail. The tail is the one field of the
// message that is large: in protobuf it would be copied into new memory, which costs more than to read it. The order
// of messages is kept. What breaks a rule ends the connection, and the
// end of the connection is told at once; nothing is sent again.
package stream
