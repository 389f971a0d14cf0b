package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpListen is the state of a listening socket in /proc/net/tcp.
const tcpListen = "0A"

// listenerOf names the process that listens on a TCP port, as far as /proc
// shows it; pid 0 means unknown.
func listenerOf(port int) (name string, pid int) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if inode := listenInode(string(content), port); inode != "" {
			return holderOf(inode)
		}
	}
	return "", 0
}

// listenInode returns the inode of the socket that listens on port in a
// /proc/net/tcp table, or "".
func listenInode(table string, port int) string {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == tcpListen {
			return fields[9]
		}
	}
	return ""
}

func holderOf(inode string) (string, int) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "", 0
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := strings.Split(link, "/")[2]
		name, err := os.ReadFile("/proc/" + process + "/comm")
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(process)
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(name)), pid
	}
	return "", 0
}
