// Package control carries requests to a running engine through a unix socket, and its replies back. It knows
// nothing of what is asked: a [Handler] does.
//
// Both directions are JSON, one object a line. A request says its protocol version, what to do, and arguments:
//
//	{"version": 1, "do": "swap", "binding": "expert=plugin:mine", "shadow": 4}
//
// Any number of events may follow, and one last line that has "done" with a result or an error:
//
//	{"version": 1, "event": {…}}
//	{"version": 1, "done": true, "result": {…}}
//	{"version": 1, "done": true, "error": "…"}
//
// Then the next request may come on the same connection. When the connection ends, what it asked for is cancelled.
//
//   - Only the user that the engine runs as may connect; the system says who a peer is.
//   - Lines, connections, and the time to send or to take a line are bounded; a peer that sends anything else gets
//     an error and loses its connection, and nobody else notices.
package control
