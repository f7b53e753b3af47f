package link

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// rules are what a batch of messages is held against.
type rules struct {
	address    string // of this system: a message for another would be passed on
	types      map[string]bool
	targets    func(name string) bool
	maxMessage int // bytes
}

func newRules(c Config) (rules, error) {
	r := rules{types: map[string]bool{}, targets: c.Targets, maxMessage: c.MaxMessage}
	if r.targets == nil {
		return rules{}, fmt.Errorf("link: no rule says which actors may be sent to: set Targets")
	}
	for _, m := range c.Allowed {
		name := proto.MessageName(m)
		if steers(name) {
			return rules{}, fmt.Errorf("link: %s may not come in: it steers actors, or has addresses that nobody checks", name)
		}
		if _, err := protoregistry.GlobalTypes.FindMessageByName(name); err != nil {
			return rules{}, fmt.Errorf("link: type %q: %w: the library finds types in the global registry", name, err)
		}
		r.types[string(name)] = true
	}
	return r, nil
}

// steers says whether a type is one of the library's own.
func steers(name protoreflect.FullName) bool {
	own := func(p string) bool { return strings.HasPrefix(string(name), p) }
	return own("actor.") || own("remote.") || own("cluster.")
}

// Fits says whether a message of the type is of the size that peers with the same limits take. One that does not fit
// costs the connection.
func (l *Link) Fits(m proto.Message) error {
	if n := proto.Size(m); n > l.config.MaxMessage {
		return fmt.Errorf("link: a message of %d bytes, want at most %d: send it in pieces", n, l.config.MaxMessage)
	}
	return nil
}
