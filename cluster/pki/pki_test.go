package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	testingclock "k8s.io/utils/clock/testing"
)

func config() Config {
	return Config{
		NodeName:   "box",
		NodeIPs:    []netip.Addr{netip.MustParseAddr("192.0.2.7")},
		ServiceIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Server:     "https://127.0.0.1:6443",
	}
}

func ensure(t testing.TB, dir string, cfg Config) *Files {
	t.Helper()
	files, err := Ensure(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func load(t testing.TB, path string) *x509.Certificate {
	t.Helper()
	certs, err := cert.CertsFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

var allFiles = []string{
	"ca.key", "ca.crt", "front-proxy-ca.key", "front-proxy-ca.crt", "sa.key", "sa.pub",
	"apiserver.key", "apiserver.crt", "apiserver-kubelet-client.key", "apiserver-kubelet-client.crt",
	"front-proxy-client.key", "front-proxy-client.crt", "kubelet.key", "kubelet.crt",
	"kubelet-client.key", "kubelet-client.crt",
	"admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf", "kube-proxy.conf", "cni.conf",
}

func TestColdAndWarm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	files := ensure(t, dir, config())
	if diff := cmp.Diff(allFiles, files.Changed); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		public := strings.HasSuffix(e.Name(), ".crt") || strings.HasSuffix(e.Name(), ".pub")
		if mode := info.Mode().Perm(); mode != 0o600 && !(public && mode == 0o644) {
			t.Errorf("%s has mode %o", e.Name(), mode)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(allFiles)), names); diff != "" {
		t.Errorf("files in the folder: %s", diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", info.Mode(), err)
	}
	if warm := ensure(t, dir, config()); len(warm.Changed) != 0 {
		t.Errorf("a second run wrote %v", warm.Changed)
	}
}

func TestCertificates(t *testing.T) {
	files := ensure(t, t.TempDir(), config())
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for _, tc := range []struct {
		file, ca string
		cn       string
		groups   []string
		usage    x509.ExtKeyUsage
		hosts    []string
	}{
		{files.APIServer.Cert, files.CA.Cert, "kube-apiserver", nil, server, []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			"localhost", "box", "127.0.0.1", "::1", "10.96.0.1", "192.0.2.7"}},
		{files.APIServerKubeletClient.Cert, files.CA.Cert, "kube-apiserver-kubelet-client", nil, client, nil},
		{files.FrontProxyClient.Cert, files.FrontProxyCA.Cert, "front-proxy-client", nil, client, nil},
		{files.Kubelet.Cert, files.CA.Cert, "system:node:box", []string{"system:nodes"}, server, []string{"box", "192.0.2.7", "127.0.0.1"}},
		{files.KubeletClient.Cert, files.CA.Cert, "system:node:box", []string{"system:nodes"}, client, nil},
	} {
		t.Run(filepath.Base(tc.file), func(t *testing.T) {
			c := load(t, tc.file)
			roots := x509.NewCertPool()
			roots.AddCert(load(t, tc.ca))
			for _, host := range append([]string{""}, tc.hosts...) {
				if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{tc.usage}}); err != nil {
					t.Errorf("as %q: %v", host, err)
				}
			}
			if c.Subject.CommonName != tc.cn || !slices.Equal(c.Subject.Organization, tc.groups) {
				t.Errorf("subject %s", c.Subject)
			}
			// The two CAs must not vouch for each other's clients.
			others := x509.NewCertPool()
			for _, ca := range []string{files.CA.Cert, files.FrontProxyCA.Cert} {
				if ca != tc.ca {
					others.AddCert(load(t, ca))
				}
			}
			if _, err := c.Verify(x509.VerifyOptions{Roots: others, KeyUsages: []x509.ExtKeyUsage{tc.usage}}); err == nil {
				t.Error("the other CA vouches for it, too")
			}
		})
	}
	if err := checkKeyPair(files.ServiceAccountKey, files.ServiceAccountPub); err != nil {
		t.Error(err)
	}
}

func checkKeyPair(private, public string) error {
	if _, err := keyutil.PrivateKeyFromFile(private); err != nil {
		return err
	}
	_, err := keyutil.PublicKeysFromFile(public)
	return err
}

// TestKubeconfigsWork talks TLS both ways with what was made.
func TestKubeconfigsWork(t *testing.T) {
	files := ensure(t, t.TempDir(), config())
	pair, err := tls.LoadX509KeyPair(files.APIServer.Cert, files.APIServer.Key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(load(t, files.CA.Cert))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		io.WriteString(w, subject.CommonName+" "+strings.Join(subject.Organization, ","))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	defer server.Close()
	for path, want := range map[string]string{
		files.Admin:             "kubernetes-admin skiff:cluster-admins",
		files.ControllerManager: "system:kube-controller-manager ",
		files.Scheduler:         "system:kube-scheduler ",
		files.KubeletConfig:     "system:node:box system:nodes",
		files.Proxy:             "system:kube-proxy ",
		files.CNI:               "system:skiff:cni ",
	} {
		restConfig, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		if restConfig.Host != "https://127.0.0.1:6443" {
			t.Errorf("%s points to %s", path, restConfig.Host)
		}
		client, err := rest.HTTPClientFor(restConfig)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(server.URL)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s is %q (%v), want %q", filepath.Base(path), body, err, want)
		}
	}
}

func TestRenewal(t *testing.T) {
	leaves := []string{
		"apiserver.key", "apiserver.crt", "apiserver-kubelet-client.key", "apiserver-kubelet-client.crt",
		"front-proxy-client.key", "front-proxy-client.crt", "kubelet.key", "kubelet.crt", "kubelet-client.key", "kubelet-client.crt",
		"admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf", "kube-proxy.conf", "cni.conf",
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, c *Config, files *Files)
		want   []string
	}{
		{"after half their life", func(_ *testing.T, c *Config, _ *Files) {
			c.Clock = testingclock.NewFakePassiveClock(start.Add(182 * day))
		}, nil},
		{"with less than a third left", func(_ *testing.T, c *Config, _ *Files) {
			c.Clock = testingclock.NewFakePassiveClock(start.Add(250 * day))
		}, leaves},
		{"long expired", func(_ *testing.T, c *Config, _ *Files) {
			c.Clock = testingclock.NewFakePassiveClock(start.Add(800 * day))
		}, leaves},
		{"new node address", func(_ *testing.T, c *Config, _ *Files) {
			c.NodeIPs = append(c.NodeIPs, netip.MustParseAddr("192.0.2.99"))
		},
			[]string{"apiserver.key", "apiserver.crt", "kubelet.key", "kubelet.crt"}},
		{"address gone", func(_ *testing.T, c *Config, _ *Files) { c.NodeIPs = nil }, nil},
		{"extra names", func(_ *testing.T, c *Config, _ *Files) { c.ExtraSANs = []string{"skiff.example.com", "2001:db8::1"} },
			[]string{"apiserver.key", "apiserver.crt"}},
		{"new server URL", func(_ *testing.T, c *Config, _ *Files) { c.Server = "https://192.0.2.7:6443" }, leaves[10:]},
		{"new node name", func(_ *testing.T, c *Config, _ *Files) { c.NodeName = "crate" },
			[]string{"apiserver.key", "apiserver.crt", "kubelet.key", "kubelet.crt", "kubelet-client.key", "kubelet-client.crt", "kubelet.conf"}},
		{"a key lost", func(t *testing.T, _ *Config, f *Files) { remove(t, f.Kubelet.Key) }, []string{"kubelet.key", "kubelet.crt"}},
		{"public key lost", func(t *testing.T, _ *Config, f *Files) { remove(t, f.ServiceAccountPub) }, []string{"sa.pub"}},
		{"new CA put in by hand", func(t *testing.T, c *Config, f *Files) {
			other := ensure(t, t.TempDir(), *c)
			for from, to := range map[string]string{other.CA.Cert: f.CA.Cert, other.CA.Key: f.CA.Key} {
				data, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(to, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, slices.DeleteFunc(slices.Clone(leaves), func(s string) bool { return strings.HasPrefix(s, "front-proxy") })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := config()
			cfg.Clock = testingclock.NewFakePassiveClock(start)
			files := ensure(t, dir, cfg)
			before := load(t, files.CA.Cert)
			if tc.name == "new CA put in by hand" {
				before = nil
			}
			tc.change(t, &cfg, files)
			after := ensure(t, dir, cfg)
			if diff := cmp.Diff(tc.want, after.Changed); diff != "" {
				t.Error(diff)
			}
			if before != nil && !before.Equal(load(t, files.CA.Cert)) {
				t.Error("the CA was replaced")
			}
			if again := ensure(t, dir, cfg); len(again.Changed) != 0 {
				t.Errorf("a further run wrote %v", again.Changed)
			}
			names, ips := (&keeper{cfg: withDefaults(t, cfg)}).apiServerSANs()
			got := load(t, files.APIServer.Cert)
			for _, name := range names {
				if err := got.VerifyHostname(name); err != nil {
					t.Error(err)
				}
			}
			for _, ip := range ips {
				if !slices.ContainsFunc(got.IPAddresses, func(i net.IP) bool { return i.Equal(ip) }) {
					t.Errorf("%s is not in the certificate", ip)
				}
			}
		})
	}
}

func withDefaults(t *testing.T, c Config) Config {
	t.Helper()
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	return c
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestBrokenFilesAreNamedAndKept(t *testing.T) {
	for _, name := range allFiles {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, dir, config())
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("\x00garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Ensure(dir, config())
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error that names %s", err, path)
			}
			if data, err := os.ReadFile(path); err != nil || string(data) != "\x00garbage" {
				t.Errorf("the file was touched: %q %v", data, err)
			}
		})
	}
}

func TestHalfAnAuthorityIsAnError(t *testing.T) {
	for _, name := range []string{"ca.key", "ca.crt", "front-proxy-ca.key", "front-proxy-ca.crt", "sa.key"} {
		dir := t.TempDir()
		ensure(t, dir, config())
		path := filepath.Join(dir, name)
		remove(t, path)
		if _, err := Ensure(dir, config()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	// Another CA's key in place of the right one.
	dir := t.TempDir()
	files := ensure(t, dir, config())
	data, err := os.ReadFile(files.FrontProxyCA.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.CA.Key, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(dir, config()); err == nil || !strings.Contains(err.Error(), "does not belong to the certificate") {
		t.Errorf("swapped key: %v", err)
	}
}

func TestKilledDuringTheFirstRun(t *testing.T) {
	dir := t.TempDir()
	whole := ensure(t, t.TempDir(), config())
	data, err := os.ReadFile(whole.CA.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if files := ensure(t, dir, config()); len(files.Changed) != len(allFiles) {
		t.Errorf("wrote %v", files.Changed)
	}
}

func TestExpiredAuthority(t *testing.T) {
	dir := t.TempDir()
	ensure(t, dir, config())
	cfg := config()
	cfg.Clock = testingclock.NewFakePassiveClock(time.Now().Add(11 * 365 * 24 * time.Hour))
	if _, err := Ensure(dir, cfg); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Ensure(t.TempDir(), Config{})
	if err == nil || !strings.Contains(err.Error(), "NodeName") || !strings.Contains(err.Error(), "Server") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkColdRun(b *testing.B) {
	for b.Loop() {
		ensure(b, b.TempDir(), config())
	}
}
