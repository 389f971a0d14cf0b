package testnet

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestCable(t *testing.T) {
	a, b := New(t), New(t)
	Cable(t, a, "left", "192.0.2.1/24", b, "right", "192.0.2.2/24")
	b.Serve(t, "tcp", "192.0.2.2:80", "web")
	b.Serve(t, "udp", "192.0.2.2:53", "dns")
	for network, address := range map[string]string{"tcp": "192.0.2.2:80", "udp": "192.0.2.2:53"} {
		answer, err := a.Ask(network, address, 0)
		if err != nil || answer.From != "192.0.2.1" {
			t.Errorf("%s: got %+v, %v", network, answer, err)
		}
	}
	if _, err := a.Ask("tcp", "192.0.2.2:81", 0); !Refused(err) {
		t.Errorf("closed port: got %v, want a refusal", err)
	}
	if out := a.Run(t, "ip", "-br", "link"); !strings.Contains(out, "left") || strings.Contains(out, "eth0") {
		t.Errorf("unexpected links:\n%s", out)
	}
}
