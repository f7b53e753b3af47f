package control

import "golang.org/x/sys/unix"

// maxPath is the longest path of a socket: sun_path is 104 bytes with its end.
const maxPath = 103

// peerUser is the user who made the other end of a socket.
func peerUser(fd int) (uid int, err error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(c.Uid), nil
}
