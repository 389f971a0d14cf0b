// skiff-pause is the first process of every pod. It does nothing but exist: the
// pod's network, IPC and UTS namespaces live as long as it does. Where the
// pod's containers share one PID namespace it is their PID 1, and takes in
// the processes that lost their parent.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for {
		reap() // also children that ended before Notify, or whose signals were merged into one
		if s := <-signals; s != syscall.SIGCHLD {
			return
		}
	}
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
