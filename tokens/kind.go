package tokens

import "strconv"

// Kind is the type of a piece, numbered as in sentencepiece_model.proto.
type Kind uint8

const (
	NoKind      Kind = iota // no piece at all
	Normal                  // found by merging
	Unknown                 // the one piece for what has no other; decodes to unk_surface
	Control                 // [PAD], [BOS], [EOS]: decodes to nothing
	UserDefined             // matched literally before merging
	Unused                  // New refuses models that have one
	Byte                    // <0x00> to <0xFF>: one byte of a character without a piece
)

func (k Kind) String() string {
	switch k {
	case NoKind:
		return "none"
	case Normal:
		return "normal"
	case Unknown:
		return "unknown"
	case Control:
		return "control"
	case UserDefined:
		return "user-defined"
	case Unused:
		return "unused"
	case Byte:
		return "byte"
	}
	return "kind " + strconv.Itoa(int(k))
}
