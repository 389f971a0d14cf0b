package preflight

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPortFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	err = PortFree("127.0.0.1", port, "--secure-port")(t.Context())
	want := fmt.Sprintf("port %d is in use by preflight.test (process %d): stop that program or choose another port with --secure-port", port, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := PortFree("127.0.0.1", port, "--secure-port")(t.Context()); err != nil {
		t.Errorf("a free port is refused: %v", err)
	}
}

func TestListenInode(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0
   1: 0100007F:192B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 54321 1 0000000000000000 20 4 30 10 -1
garbage
`
	for port, want := range map[int]string{6443: "12345", 80: ""} {
		if got := listenInode(table, port); got != want {
			t.Errorf("port %d: got %q, want %q", port, got, want)
		}
	}
}

func TestFreeSpace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made", "yet")
	if err := FreeSpace(dir, 1)(t.Context()); err != nil {
		t.Errorf("one byte does not fit: %v", err)
	}
	err := FreeSpace(dir, 1<<62)(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the disk of "+dir+" is full") {
		t.Errorf("got %v", err)
	}
}

func TestRunJoinsProblems(t *testing.T) {
	err := Run(t.Context(), Programs("package a", "no-such-program-a"), Programs("sh", "sh"), Programs("package b", "no-such-program-b"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "install package b") {
		t.Errorf("got %v", err)
	}
}
