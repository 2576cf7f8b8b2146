//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"herz.example/herz/faultlab/owner"
)

const (
	mtu = 1500
	// queueLength is how many packets the kernel keeps for a reader that is late; more than a burst of all sockets of a lab.
	queueLength = 10000
)

var tunnels atomic.Int32 // open

// Tunnel is a second way into a namespace, whose packets somebody in this process has to carry: a Read of Outer gives one packet that
// the host sends into the namespace, and a Write to Inner makes it arrive there; and the other way round.
type Tunnel struct {
	Outer, Inner *os.File

	hostIP, ip string
	subnet     *subnet
}

// Tunnel makes a way into the namespace by two TUN devices. Its addresses are others than those of the namespace's interface, which goes
// on working beside it. The devices vanish when they are closed, or with this process.
func (n *NS) Tunnel() (*Tunnel, error) {
	if tunnels.Add(1) > Most {
		tunnels.Add(-1)
		return nil, fmt.Errorf("netns: %d tunnels are open, which is the most for one process: close some", Most)
	}
	net, err := claim()
	if err != nil {
		tunnels.Add(-1)
		return nil, err
	}
	t := &Tunnel{hostIP: net.addr(1), ip: net.addr(2), subnet: net}
	number := strconv.Itoa(owner.Next())
	outer, inner := link(owner.Name("n"+number)), "tun"+number
	if t.Outer, err = device(outer); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if err = n.Do(func() (err error) {
		t.Inner, err = device(inner)
		return err
	}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	inside := []string{"ip", "-n", n.name}
	up := []string{"mtu", strconv.Itoa(mtu), "txqueuelen", strconv.Itoa(queueLength), "up"}
	err = steps(
		[]string{"ip", "addr", "add", t.hostIP + "/30", "dev", outer},
		slices.Concat([]string{"ip", "link", "set", "dev", outer}, up),
		slices.Concat(inside, []string{"addr", "add", t.ip + "/30", "dev", inner}),
		slices.Concat(inside, []string{"link", "set", "dev", inner}, up),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netns: tunnel: %w", err), t.Close())
	}
	return t, nil
}

// IP is the address of the namespace in the tunnel, which the host can dial.
func (t *Tunnel) IP() string { return t.ip }

// HostIP is the host's address in the tunnel.
func (t *Tunnel) HostIP() string { return t.hostIP }

// Close removes the devices. Reads and writes that wait on them end. Who closes Outer and Inner himself calls [Tunnel.Release] instead.
func (t *Tunnel) Close() error {
	errs := []error{t.Release()}
	for _, f := range []*os.File{t.Outer, t.Inner} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// device makes a TUN device in the network namespace of the calling thread. The file can be closed while it is read, because Go's poller
// waits for it; the poller takes it only after it has become a device.
func device(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("netns: open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("netns: make the device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// Release gives the addresses back. It is called once.
func (t *Tunnel) Release() error {
	tunnels.Add(-1)
	return t.subnet.release()
}
