package testnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Serve answers every TCP connection or UDP packet at an address inside the
// namespace with a name and the address of the asker, until the test ends.
func (n *Namespace) Serve(t testing.TB, network, address, name string) {
	t.Helper()
	n.Do(t, func() error {
		if strings.HasPrefix(network, "udp") {
			return serveUDP(t, network, address, name)
		}
		listener, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "%s %s", name, conn.RemoteAddr())
				conn.Close()
			}
		}()
		return nil
	})
}

func serveUDP(t testing.TB, network, address, name string) error {
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		return err
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(name+" "+from.String()), from)
		}
	}()
	return nil
}

// askTimeout bounds one question. Nothing is expected to be silent, so that only
// a failing test ever waits for so long; a busy machine must not make one fail.
const askTimeout = 10 * time.Second

// Answer is what a server of Serve said.
type Answer struct {
	Name string
	From string // the asker's address as the server saw it, without the port
}

// Ask asks a server from inside the namespace. LocalPort 0 is any port.
func (n *Namespace) Ask(network, address string, localPort int) (Answer, error) {
	var answer Answer
	err := n.Try(func() error {
		dialer := net.Dialer{Timeout: askTimeout}
		if localPort != 0 {
			dialer.Control = reuseAddress
			if strings.HasPrefix(network, "udp") {
				dialer.LocalAddr = &net.UDPAddr{Port: localPort}
			} else {
				dialer.LocalAddr = &net.TCPAddr{Port: localPort}
			}
		}
		conn, err := dialer.Dial(network, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
			return err
		}
		answer, err = converse(conn, network)
		return err
	})
	return answer, err
}

func reuseAddress(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})
	return errors.Join(err, inner)
}

func converse(conn net.Conn, network string) (Answer, error) {
	buffer := make([]byte, 200)
	count := 0
	var err error
	if strings.HasPrefix(network, "udp") {
		if _, err = conn.Write([]byte("?")); err == nil {
			count, err = conn.Read(buffer)
		}
	} else {
		count, err = io.ReadFull(conn, buffer)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
	}
	if err != nil {
		return Answer{}, err
	}
	name, from, _ := strings.Cut(string(buffer[:count]), " ")
	host, _, err := net.SplitHostPort(from)
	return Answer{name, host}, err
}

// Refused reports whether an error says that the other side, or for UDP the node
// on which the program itself runs, refused at once.
func Refused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EPERM) }
