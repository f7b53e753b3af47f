// Package trace keeps the routing of texts in a file: which experts each token used in each layer, and with
// which gates. [Create] and [Writer.Add] write documents one by one, [Open] and [Reader.Next] read them; neither
// holds more than a document.
//
// # The file
//
// It begins with the line "troupe routing 1", the version, and goes on with blocks. Integers are little-endian,
// "uvarint" is that of encoding/binary, a string is its length as uvarint and its bytes.
//
//	kind     byte
//	length   uint32  bytes of the payload, at most 16 MiB
//	checksum uint32  CRC-32C of kind, length and payload
//	payload
//
// The first block, of kind h, is the [Header] as JSON. Then comes for each document one of kind d:
//
//	id, domain, experts, text   strings
//	prompt                      uvarint: how many of the tokens were given
//	tokens                      uvarint: how many there are, and each as uvarint
//	rows                        uvarint: how many rows follow
//
// and blocks of kind r with these rows, each row within one block:
//
//	position  uvarint: distance from the position behind that of the row before
//	counts    byte: 0 as in the row before, 1 one uvarint for all layers, 2 a uvarint a layer
//	experts   of all layers by rank, a byte each; two where a layer has more than 256
//	gates     in the same order, IEEE 754 binary16
//
// A row takes 3 bytes for each expert that it used, and two or three more. The last block, of kind e, has the number
// of documents as uvarint. A file without it was cut: what is whole can be read, and then [ErrCut] is returned.
//
// Files are hostile until checked: lengths are bounded, memory grows with what has been read, and every number is
// compared with the header.
package trace
