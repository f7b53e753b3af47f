package wire

// What engine and plugin have to agree on before they speak, and the descriptors a plugin inherits.
const (
	CookieKey   = "TROUPE_PLUGIN"
	CookieValue = "6b65726e656c73" // "kernels": a plugin run by hand does not wait for an engine
	Service     = "kernels"

	ControlFD = 3 // the control page
	SocketFD  = 4 // over which regions come
	AliveFD   = 5 // a pipe that ends with the engine
	BellFD    = 6 // a doorbell's socket, where BellKey says so

	BellKey    = "TROUPE_PLUGIN_BELL"
	BellFutex  = "futex"
	BellSocket = "socket"
)
