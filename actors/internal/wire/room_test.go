package wire

import "testing"

func TestRoom(t *testing.T) {
	for _, n := range []int{0, 1, 1 << leastRoom, 1<<leastRoom + 1, Piece, 1 << mostRoom, 1<<mostRoom + 1} {
		for range 3 {
			m := &Pass{Rest: &Rows{Values: Room(n)}}
			if got := m.Rest.Values; len(got) != n {
				t.Fatalf("room of %d bytes, want %d", len(got), n)
			}
			if Free(m); m.Rest.Values != nil {
				t.Error("a message has values that somebody else may get")
			}
		}
	}
	Free(&Pass{})                           // none
	Free(&Rows{Values: make([]byte, 3000)}) // of another kind
	Free(&Bye{})                            // no place for any
	if b := Room(3000); cap(b) != 4096 {
		t.Errorf("room for %d bytes, want 4096: memory of another kind was taken back", cap(b))
	}
}
