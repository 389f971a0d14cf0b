// Command testapp is the project's own small workload for samples and tests: a
// web server that tells who it is, and that can be made to fail on demand.
//
//	testapp serve [-port 8080] [-udp-port 8081] [-drain 2s]
//	testapp crash [-after 1s] [-code 1]
//	testapp get [-n 1] URL
//	testapp api PATH
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: testapp serve|crash|get|api [flags]")
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2:])
	case "crash":
		err = crash(os.Args[2:])
	case "get":
		err = get(os.Args[2:])
	case "api":
		err = api(os.Args[2:])
	default:
		err = fmt.Errorf("unknown command %q: want serve, crash, get or api", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func crash(args []string) error {
	flags := flag.NewFlagSet("crash", flag.ExitOnError)
	after := flags.Duration("after", 0, "how long to live")
	code := flags.Int("code", 1, "exit code")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Printf("testapp: will exit with code %d\n", *code)
	<-time.After(*after)
	os.Exit(*code)
	return nil
}

// get prints what a URL answers, each time over a new connection.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ExitOnError)
	n := flags.Int("n", 1, "how many requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range *n {
		response, err := client.Get(flags.Arg(0))
		if err != nil {
			return fmt.Errorf("requesting: %w", err)
		}
		_, err = io.Copy(os.Stdout, response.Body)
		_ = response.Body.Close()
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
	}
	return nil
}

func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	port := flags.Int("port", 8080, "TCP port of the web server")
	udpPort := flags.Int("udp-port", 8081, "UDP port of the echo server; 0 for none")
	drain := flags.Duration("drain", 2*time.Second, "how long to go on serving after SIGTERM, while the proxies learn of it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *udpPort != 0 {
		if err := echoUDP(*udpPort); err != nil {
			return err
		}
	}
	server := &http.Server{Addr: net.JoinHostPort("", strconv.Itoa(*port)), Handler: handler()}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Printf("testapp: %s serves on port %d\n", version(), *port)

	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	fmt.Println("testapp: draining")
	<-time.After(*drain)
	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(shutdown)
}

// version is what the image says it is.
func version() string {
	if v := os.Getenv("TESTAPP_VERSION"); v != "" {
		return v
	}
	return "dev"
}

func handler() http.Handler {
	hostname, _ := os.Hostname()
	var sick atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", hostname, version())
	})
	mux.HandleFunc("GET /hostname", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, hostname) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, version()) })
	mux.HandleFunc("GET /client", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /sick", func(w http.ResponseWriter, r *http.Request) { sick.Store(true) })
	mux.HandleFunc("POST /well", func(w http.ResponseWriter, r *http.Request) { sick.Store(false) })
	mux.HandleFunc("POST /exit", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Query().Get("code"))
		if err != nil {
			http.Error(w, "want /exit?code=N", http.StatusBadRequest)
			return
		}
		os.Exit(code)
	})
	return mux
}

// echoUDP answers each datagram with the host name and what was sent.
func echoUDP(port int) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return fmt.Errorf("listening for datagrams: %w", err)
	}
	hostname, _ := os.Hostname()
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, peer, err := conn.ReadFromUDP(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteToUDP(append([]byte(hostname+" "), buffer[:n]...), peer)
			}
		}
	}()
	return nil
}
