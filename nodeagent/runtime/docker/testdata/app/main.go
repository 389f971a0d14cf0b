// The test program as a real binary: the only file of test images.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest/program"
)

func main() {
	received := make(chan os.Signal, 8)
	signal.Notify(received, syscall.SIGTERM, syscall.SIGWINCH)
	signals := make(chan string, 8)
	go func() {
		names := map[os.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGWINCH: "WINCH"}
		for s := range received {
			signals <- names[s]
		}
	}()
	os.Exit(program.Run(&program.Process{
		Args: os.Args[1:], Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: signals, Killed: make(chan struct{}),
	}))
}
