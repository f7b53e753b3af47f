package stream

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// A peer that is to be killed, or to be far in a measurement, is this test binary again.
const (
	peerKey   = "TROUPE_STREAM_PEER"   // where it dials
	secretKey = "TROUPE_STREAM_SECRET" // hexadecimal
)

func TestMain(m *testing.M) {
	if address := os.Getenv(peerKey); address != "" {
		if err := bePeer(address, os.Getenv(secretKey)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// bePeer dials, and stays until its standard input ends.
func bePeer(address, secret string) error {
	key, err := hex.DecodeString(secret)
	if err != nil {
		return err
	}
	c, err := Dial(context.Background(), address, nil, key, newSide().config)
	if err != nil {
		return err
	}
	c.Start()
	fmt.Println("in")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
