package link

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	ownAddress  = "127.0.0.1:1"
	peerAddress = "127.0.0.1:2"
	bytesType   = "google.protobuf.BytesValue"
)

func testRules(t testing.TB) rules {
	t.Helper()
	r, err := newRules(plain("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	r.address, r.maxMessage = ownAddress, 1<<10
	return r
}

// goodBatch is two messages as the library sends them.
func goodBatch() *remote.MessageBatch {
	return &remote.MessageBatch{
		TypeNames: []string{bytesType},
		Targets:   []*actor.PID{{Address: ownAddress, Id: "part-echo"}},
		Senders:   []*actor.PID{{Address: peerAddress, Id: "future$1"}},
		Envelopes: []*remote.MessageEnvelope{
			{MessageData: []byte{0x0a, 1, 'x'}, Sender: 1, SenderRequestId: 3},
			{MessageData: []byte{}, TargetRequestId: 7},
		},
	}
}

// badBatches are one step away from a good one.
var badBatches = map[string]func(*remote.MessageBatch){
	"no messages":               func(m *remote.MessageBatch) { m.Envelopes = nil },
	"too many messages":         func(m *remote.MessageBatch) { m.Envelopes = make([]*remote.MessageEnvelope, batchSize+1) },
	"no such type":              func(m *remote.MessageBatch) { m.TypeNames[0] = "nobody.Knows" },
	"a type that is not listed": func(m *remote.MessageBatch) { m.TypeNames[0] = "google.protobuf.Empty" },
	"stop":                      func(m *remote.MessageBatch) { m.TypeNames[0] = "actor.Stop" },
	"poison":                    func(m *remote.MessageBatch) { m.TypeNames[0] = "actor.PoisonPill" },
	"watch":                     func(m *remote.MessageBatch) { m.TypeNames[0] = "actor.Watch" },
	"terminated":                func(m *remote.MessageBatch) { m.TypeNames[0] = "actor.Terminated" },
	"spawn":                     func(m *remote.MessageBatch) { m.TypeNames[0] = "remote.ActorPidRequest" },
	"more types than messages":  func(m *remote.MessageBatch) { m.TypeNames = []string{bytesType, bytesType, bytesType} },
	"type id too large":         func(m *remote.MessageBatch) { m.Envelopes[1].TypeId = 1 },
	"type id negative":          func(m *remote.MessageBatch) { m.Envelopes[1].TypeId = -1 },
	"target too large":          func(m *remote.MessageBatch) { m.Envelopes[1].Target = 1 },
	"target negative":           func(m *remote.MessageBatch) { m.Envelopes[1].Target = math.MinInt32 },
	"no targets":                func(m *remote.MessageBatch) { m.Targets = nil },
	"sender too large":          func(m *remote.MessageBatch) { m.Envelopes[1].Sender = 2 },
	"sender negative":           func(m *remote.MessageBatch) { m.Envelopes[1].Sender = -1 },
	"serializer":                func(m *remote.MessageBatch) { m.Envelopes[1].SerializerId = 1 },
	"serializer negative":       func(m *remote.MessageBatch) { m.Envelopes[1].SerializerId = -1 },
	"serializer too large":      func(m *remote.MessageBatch) { m.Envelopes[1].SerializerId = 99 },
	"a header":                  func(m *remote.MessageBatch) { m.Envelopes[1].MessageHeader = &remote.MessageHeader{} },
	"no envelope":               func(m *remote.MessageBatch) { m.Envelopes[1] = nil },
	"a message too large":       func(m *remote.MessageBatch) { m.Envelopes[1].MessageData = make([]byte, 1<<10+1) },
	"no target":                 func(m *remote.MessageBatch) { m.Targets[0] = nil },
	"another actor":             func(m *remote.MessageBatch) { m.Targets[0].Id = "activator" },
	"no name":                   func(m *remote.MessageBatch) { m.Targets[0].Id = "" },
	"a long name":               func(m *remote.MessageBatch) { m.Targets[0].Id = "part-" + strings.Repeat("x", maxName) },
	"to be passed on":           func(m *remote.MessageBatch) { m.Targets[0].Address = "192.0.2.1:80" },
	"an inner address":          func(m *remote.MessageBatch) { m.Targets[0].Address = "nonhost" },
	"no sender":                 func(m *remote.MessageBatch) { m.Senders[0] = nil },
	"in another's name":         func(m *remote.MessageBatch) { m.Senders[0].Address = "192.0.2.1:80" },
	"a request in a name":       func(m *remote.MessageBatch) { m.Targets[0].RequestId = 1 },
}

func TestCheck(t *testing.T) {
	r := testRules(t)
	if err := r.check(goodBatch(), peerAddress); err != nil {
		t.Fatalf("a good batch: %v", err)
	}
	for name, spoil := range badBatches {
		m := goodBatch()
		spoil(m)
		err := r.check(m, peerAddress)
		if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
			t.Errorf("%s: %v, want one line", name, err)
		}
	}
	if err := r.check(nil, peerAddress); err == nil {
		t.Error("no batch at all has passed")
	}
}

func TestCheckConnect(t *testing.T) {
	with := func(address string) *remote.ConnectRequest {
		return &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{Address: address}}}
	}
	for _, address := range []string{"127.0.0.1:1", "[::1]:7000", "host.example:1"} {
		if got, err := checkConnect(with(address)); err != nil || got != address {
			t.Errorf("%s: got %q, %v", address, got, err)
		}
	}
	for _, address := range []string{"", "nonhost", "0.0.0.0:1", "[::]:1", ":1", "a:99999", "a:b", "a:-1", "unix:/tmp/x:1", "a b:1", "u@a:1", "a\nb:1", strings.Repeat("a", 300) + ":1"} {
		if got, err := checkConnect(with(address)); err == nil {
			t.Errorf("%q: got %q", address, got)
		}
	}
	for name, c := range map[string]*remote.ConnectRequest{
		"nil": nil, "empty": {}, "client": {ConnectionType: &remote.ConnectRequest_ClientConnection{}}, "no server": {ConnectionType: &remote.ConnectRequest_ServerConnection{}},
	} {
		if _, err := checkConnect(c); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
}

func TestForm(t *testing.T) {
	in := func(m *remote.RemoteMessage) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	batch := in(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: goodBatch()}})
	connect := in(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "x", Address: "y"}}}}})
	for _, b := range [][]byte{nil, batch, connect} {
		if err := checkForm(b, remoteForm); err != nil {
			t.Errorf("%x: %v", b, err)
		}
	}
	many := append([]byte{0x0a, 0x80, 0x80, 0x01}, bytes.Repeat([]byte{0x1a, 0}, 8<<10)...) // 8192 envelopes of two bytes
	headers := in(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: &remote.MessageBatch{
		Envelopes: []*remote.MessageEnvelope{{MessageHeader: &remote.MessageHeader{HeaderData: map[string]string{"a": "b"}}}}}}})
	for name, b := range map[string][]byte{
		"many": many, "headers": headers, "two batches": append(batch[:len(batch):len(batch)], batch...), "another field": {0x28, 1}, "another type": {0x08, 1},
		"short": batch[:len(batch)-1], "group": {0x0b, 0x0c}, "field 0": {0x02, 0}, "large field": {0xfa, 0xff, 0xff, 0xff, 0x0f, 0}, "endless varint": bytes.Repeat([]byte{0xff}, 20),
	} {
		if err := checkForm(b, remoteForm); err == nil {
			t.Errorf("%s has passed", name)
		}
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &remote.RemoteMessage{}); err == nil {
			t.Errorf("%s was decoded", name)
		}
	}
}

// FuzzBatch holds what the library does with a batch that has passed: no index is out of range, every type is known
// and decodes or is an error.
func FuzzBatch(f *testing.F) {
	add := func(m *remote.MessageBatch) {
		if b, err := proto.Marshal(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: m}}); err == nil {
			f.Add(b)
		}
	}
	add(goodBatch())
	for _, spoil := range badBatches {
		m := goodBatch()
		spoil(m)
		add(m)
	}
	r := testRules(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m remote.RemoteMessage
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &m); err != nil {
			return
		}
		batch := m.GetMessageBatch()
		if err := r.check(batch, peerAddress); err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes, want one line: %q", len(err.Error()), err)
			}
			return
		}
		for _, e := range batch.Envelopes {
			if got := batch.Targets[e.Target]; got.Address != ownAddress || !r.targets(got.Id) {
				t.Errorf("a message goes to %v", got)
			}
			if e.Sender != 0 && batch.Senders[e.Sender-1].Address != peerAddress {
				t.Errorf("a message comes from %v", batch.Senders[e.Sender-1])
			}
			if name := batch.TypeNames[e.TypeId]; name != bytesType && name != "google.protobuf.StringValue" {
				t.Errorf("a message of type %q", name)
			}
			_, _ = remote.Deserialize(e.MessageData, batch.TypeNames[e.TypeId], e.SerializerId)
		}
	})
}

func TestRules(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no targets": func(c *Config) { c.Targets = nil },
		"stop":       func(c *Config) { c.Allowed = append(c.Allowed, &actor.Stop{}) },
		"watch":      func(c *Config) { c.Allowed = append(c.Allowed, &actor.Watch{}) },
		"spawn":      func(c *Config) { c.Allowed = append(c.Allowed, &remote.ActorPidRequest{}) },
		"nil":        func(c *Config) { c.Allowed = append(c.Allowed, nil) },
	} {
		c := plain("127.0.0.1:0")
		change(&c)
		if _, err := newRules(c); err == nil {
			t.Errorf("%s: allowed", name)
		} else {
			t.Log(err)
		}
	}
	if _, err := protoregistry.GlobalTypes.FindMessageByName((&wrapperspb.BytesValue{}).ProtoReflect().Descriptor().FullName()); err != nil {
		t.Error(fmt.Errorf("what the tests send is not registered: %w", err))
	}
}
