// Package tokens turns text into token ids and back, exactly as SentencePiece
// does for Grok-1's tokenizer.model and for models with the same settings:
// BPE, byte fallback, identity normaliser, a dummy space in front, spaces kept.
// A model that needs anything else is refused by New, never approximated.
//
// Invariants:
//
//  1. Encode gives the ids of SentencePiece's EncodeAsIds: no BOS, no EOS, any
//     bytes. A byte that is not UTF-8 counts as one U+FFFD. Nothing is reserved
//     to the program: text that holds a user-defined piece, such as
//     "<|separator|>", encodes to that piece.
//  2. Decode gives the text of SentencePiece's DecodeIds, for any ids of the
//     vocabulary.
//  3. The outputs of a Stream, put together, are Decode of the ids put
//     together, and each of them is valid UTF-8: a character whose bytes
//     arrive in several tokens appears once it is whole.
//  4. A Tokenizer does not change once made and may be shared by goroutines. A
//     Stream belongs to one generation.
//  5. Model files are hostile until checked: sizes are bounded before anything
//     is built from them.
//
// A text comes back from Decode(Encode(text)) if it is valid UTF-8 without
// U+2581, the character that stands for a space inside pieces and therefore
// decodes to one.
//
// The merges are go-sentencepiece's; reading the model, what surrounds the
// merges, and decoding are done here.
package tokens
