package health

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/proxy/model"
)

func TestProxier(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Unix(1_000_000, 0))
	p := NewProxier(clock, time.Minute)
	steps := []struct {
		name           string
		do             func()
		healthz, livez int
	}{
		{"before the first sync", func() {}, 503, 503},
		{"a change before it", p.Queued, 503, 503},
		{"first sync", func() { p.Synced(clock.Now()) }, 200, 200},
		{"long idle", func() { clock.Step(time.Hour) }, 200, 200},
		{"change waits", func() { p.Queued(); clock.Step(59 * time.Second) }, 200, 200},
		{"another does not start the time anew", func() { p.Queued(); clock.Step(2 * time.Second) }, 503, 503},
		{"synced", func() { p.Synced(clock.Now()) }, 200, 200},
		{"change during a sync", func() {
			start := clock.Now()
			clock.Step(time.Second)
			p.Queued()
			p.Synced(start)
			clock.Step(2 * time.Minute)
		}, 503, 503},
		{"synced again", func() { p.Synced(clock.Now()) }, 200, 200},
		{"node is deleted", func() { p.SetNodeEligible(false) }, 503, 200},
		{"node is back", func() { p.SetNodeEligible(true) }, 200, 200},
	}
	for _, step := range steps {
		step.do()
		for path, want := range map[string]int{"/healthz": step.healthz, "/livez": step.livez} {
			w := httptest.NewRecorder()
			p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %s gives %d %s, want %d", step.name, path, w.Code, w.Body, want)
			}
		}
	}
}

func TestLocalServices(t *testing.T) {
	name := func(service, port string) model.PortName {
		return model.PortName{NamespacedName: types.NamespacedName{Namespace: "default", Name: service}, Port: port, Protocol: corev1.ProtocolTCP}
	}
	got := map[types.NamespacedName]Local{}
	LocalServices(map[model.PortName]*model.Port{
		name("web", "http"):  {Service: model.Service{HealthCheckNodePort: 31000}, ReadyLocal: 2},
		name("web", "https"): {Service: model.Service{HealthCheckNodePort: 31000}, ReadyLocal: 1},
		name("api", ""):      {ReadyLocal: 5},
	}, got)
	if want := (Local{31000, 2}); len(got) != 1 || got[name("web", "").NamespacedName] != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestServices: ports open, answer, follow and close.
func TestServices(t *testing.T) {
	healthy := true
	s := NewServices(func() bool { return healthy })
	listeners := map[string]net.Listener{}
	s.listen = func(address string) (net.Listener, error) { // the numbers are taken on busy machines
		l, err := net.Listen("tcp", "127.0.0.1:0")
		listeners[address] = l
		return l, err
	}
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	sync := func(wanted map[types.NamespacedName]Local) {
		t.Helper()
		if err := s.Sync(t.Context(), wanted); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	ask := func(port string, code int, weight, body string) {
		t.Helper()
		response, err := client.Get("http://" + listeners[port].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		if response.StatusCode != code || response.Header.Get("X-Load-Balancing-Endpoint-Weight") != weight || string(text) != body+"\n" {
			t.Errorf("got %d, weight %s, %s; want %d, %s, %s", response.StatusCode, response.Header.Get("X-Load-Balancing-Endpoint-Weight"), text, code, weight, body)
		}
	}
	sync(map[types.NamespacedName]Local{web: {31000, 2}})
	ask(":31000", 200, "2", `{"service":{"namespace":"default","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true}`)
	healthy = false
	ask(":31000", 503, "2", `{"service":{"namespace":"default","name":"web"},"localEndpoints":2,"serviceProxyHealthy":false}`)
	healthy = true
	sync(map[types.NamespacedName]Local{web: {31000, 0}})
	ask(":31000", 503, "0", `{"service":{"namespace":"default","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true}`)
	sync(map[types.NamespacedName]Local{web: {31001, 1}})
	ask(":31001", 200, "1", `{"service":{"namespace":"default","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true}`)
	for _, port := range []string{":31000", ":31001"} {
		if port == ":31001" {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if response, err := client.Get("http://" + listeners[port].Addr().String()); err == nil {
			response.Body.Close()
			t.Errorf("%s still answers", port)
		}
	}
}
