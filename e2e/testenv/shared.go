package testenv

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shared is the environment of the test binary, started by the first test that
// wants it. It is package state because Go offers TestMain no other way to hand
// something to the tests.
var shared struct {
	sync.Mutex
	env     *Env
	err     error
	inMain  bool
	options []Option
}

// Main runs the tests of a package, with one server for those that call Shared.
// The options apply to that server. It does not return.
func Main(m *testing.M, options ...Option) {
	flag.Parse()
	shared.Lock()
	shared.inMain, shared.options = true, options
	shared.Unlock()
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the shared test API server:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Shared returns the server of the package, started on first use. The package
// needs a TestMain that calls Main.
func Shared(t testing.TB) *Env {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		t.Fatal("testenv.Shared needs a TestMain that calls testenv.Main")
	}
	if shared.env == nil && shared.err == nil {
		shared.env, shared.err = startShared(shared.options)
	}
	if shared.err != nil {
		t.Fatalf("starting the shared test API server: %v", shared.err)
	}
	return shared.env
}

func startShared(options []Option) (*Env, error) {
	dir, err := os.MkdirTemp("", "testenv")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	env, err := start(dir, options...)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return env, nil
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.env == nil {
		return nil
	}
	env := shared.env
	shared.env = nil
	if err := env.stop(); err != nil {
		return err
	}
	return env.removeDir()
}

// Namespace creates a namespace with a fresh name and returns the name. It is
// marked for deletion when the test ends; without a namespace controller its
// objects stay until the server ends.
func (e *Env) Namespace(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ns, err := e.Client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting namespace %s: %v", ns.Name, err)
		}
	})
	return ns.Name
}
