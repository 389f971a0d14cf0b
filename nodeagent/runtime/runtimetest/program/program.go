// Package program is what containers run in tests: one small program with
// subcommands that behaves alike as a real static binary in an image and as a
// goroutine of the fake runtime.
package program

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is a running program.
type Process struct {
	// Args are the subcommand and its arguments.
	Args   []string
	Env    []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Signals delivers "TERM" and others by name; SIGKILL never arrives anywhere.
	Signals <-chan string
	// Killed is closed when the process is killed; a real one is gone by then.
	Killed <-chan struct{}
}

// Run runs the program and returns its exit code.
//
//	sleep               until SIGTERM, then exits 0
//	stubborn            until it is killed
//	exit CODE           at once
//	echo WORDS          to stdout, and exits 0
//	both OUT ERR        one line to each stream
//	env NAME            prints a variable
//	cat                 copies stdin to stdout
//	lines COUNT         prints "line 1" to "line COUNT"
//	long BYTES          prints one line of that length
//	tick                prints "tick" every 20 ms until SIGTERM
//	serve PORT          answers HTTP with "hello", until SIGTERM
//	read FILE           prints a file
//	write FILE TEXT     writes a file, prints the error and exits 1 if it cannot
//	id                  prints uid, gid and the supplementary groups
//	size                waits for a terminal size (SIGWINCH) and prints "resized"
//	hostname            prints the host name
//	stat FILE           prints the mode of a file
//	eat MEBIBYTES       fills that much memory, then sleeps
func Run(p *Process) int {
	if len(p.Args) == 0 {
		p.Args = []string{"sleep"}
	}
	arguments := p.Args[1:]
	switch p.Args[0] {
	case "sleep":
		return p.untilTerm()
	case "stubborn":
		<-p.Killed
		return 137
	case "exit":
		code, _ := strconv.Atoi(first(arguments))
		return code
	case "echo":
		fmt.Fprintln(p.Stdout, strings.Join(arguments, " "))
	case "both":
		fmt.Fprintln(p.Stdout, arguments[0])
		fmt.Fprintln(p.Stderr, arguments[1])
	case "env":
		fmt.Fprintln(p.Stdout, p.getenv(first(arguments)))
	case "cat":
		_, _ = io.Copy(p.Stdout, p.Stdin)
	case "lines":
		count, _ := strconv.Atoi(first(arguments))
		for i := 1; i <= count; i++ {
			fmt.Fprintf(p.Stdout, "line %d\n", i)
		}
	case "long":
		count, _ := strconv.Atoi(first(arguments))
		fmt.Fprintln(p.Stdout, strings.Repeat("x", count))
	case "tick":
		return p.tick()
	default:
		return p.runOnHost(arguments)
	}
	return 0
}

// runOnHost are the subcommands that only make sense in a real container.
func (p *Process) runOnHost(arguments []string) int {
	var err error
	switch p.Args[0] {
	case "serve":
		return p.serve(first(arguments))
	case "read":
		var data []byte
		data, err = os.ReadFile(first(arguments))
		_, _ = p.Stdout.Write(data)
	case "write":
		err = os.WriteFile(arguments[0], []byte(arguments[1]), 0o644)
	case "id":
		var groups []int
		groups, err = os.Getgroups()
		fmt.Fprintln(p.Stdout, os.Getuid(), os.Getgid(), groups)
	case "size":
		for signal := range p.Signals {
			if signal == "WINCH" {
				fmt.Fprintln(p.Stdout, "resized")
				return 0
			}
		}
	case "hostname":
		var name string
		name, err = os.Hostname()
		fmt.Fprintln(p.Stdout, name)
	case "stat":
		var info os.FileInfo
		if info, err = os.Stat(first(arguments)); err == nil {
			fmt.Fprintln(p.Stdout, info.Mode())
		}
	case "eat":
		count, _ := strconv.Atoi(first(arguments))
		memory := make([]byte, count<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		fmt.Fprintln(p.Stdout, "ate", len(memory))
		return p.untilTerm()
	default:
		err = fmt.Errorf("unknown subcommand %q", p.Args[0])
	}
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		return 1
	}
	return 0
}

func (p *Process) untilTerm() int {
	for {
		select {
		case signal := <-p.Signals:
			if signal == "TERM" {
				return 0
			}
		case <-p.Killed:
			return 137
		}
	}
}

func (p *Process) tick() int {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case signal := <-p.Signals:
			if signal == "TERM" {
				return 0
			}
		case <-p.Killed:
			return 137
		case <-ticker.C:
			fmt.Fprintln(p.Stdout, "tick")
		}
	}
}

func (p *Process) serve(port string) int {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		return 1
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	}()
	defer listener.Close()
	fmt.Fprintln(p.Stdout, "ready")
	return p.untilTerm()
}

func (p *Process) getenv(name string) string {
	for _, pair := range p.Env {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

func first(arguments []string) string {
	if len(arguments) == 0 {
		return ""
	}
	return arguments[0]
}
