package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/utils/clock"
)

const (
	defaultCALife   = 10 * 365 * 24 * time.Hour
	defaultLeafLife = 365 * 24 * time.Hour

	// AdminGroup is the group that bootstrap RBAC binds to cluster-admin.
	AdminGroup = "skiff:cluster-admins"
	// AdminUser is the user of admin.conf.
	AdminUser = "kubernetes-admin"
)

// Config says what the certificates are for.
type Config struct {
	// NodeName is the host name of this node.
	NodeName string
	// NodeIPs are the addresses of this node.
	NodeIPs []netip.Addr
	// ServiceIP is the address of the Service default/kubernetes, the first one of
	// each Service CIDR.
	ServiceIPs []netip.Addr
	// ClusterDomain is the DNS domain of Services; empty: cluster.local.
	ClusterDomain string
	// ExtraSANs are further host names or addresses of the API server.
	ExtraSANs []string
	// Server is the URL in the kubeconfig files, such as https://127.0.0.1:6443.
	Server string
	// ClusterName names the cluster in kubeconfig files; empty: kubernetes.
	ClusterName string
	// CALife and LeafLife are how long certificates are valid; zero: ten years and
	// one year.
	CALife, LeafLife time.Duration
	// Clock is nil in production.
	Clock clock.PassiveClock
}

// Pair is a certificate file and its key file.
type Pair struct{ Cert, Key string }

// Files are the absolute paths of everything that Ensure keeps.
type Files struct {
	Dir string

	CA                     Pair
	APIServer              Pair // serving
	APIServerKubeletClient Pair
	FrontProxyCA           Pair
	FrontProxyClient       Pair
	Kubelet                Pair // serving
	KubeletClient          Pair
	ServiceAccountKey      string // private
	ServiceAccountPub      string

	Admin             string // kubeconfig files
	ControllerManager string
	Scheduler         string
	KubeletConfig     string
	Proxy             string
	CNI               string

	// Changed lists the base names of what this run wrote.
	Changed []string
}

// Paths returns the files that Ensure keeps in dir, whether they exist or not.
func Paths(dir string) *Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	pair := func(name string) Pair { return Pair{Cert: at(name + ".crt"), Key: at(name + ".key")} }
	return &Files{
		Dir:                    dir,
		CA:                     pair("ca"),
		APIServer:              pair("apiserver"),
		APIServerKubeletClient: pair("apiserver-kubelet-client"),
		FrontProxyCA:           pair("front-proxy-ca"),
		FrontProxyClient:       pair("front-proxy-client"),
		Kubelet:                pair("kubelet"),
		KubeletClient:          pair("kubelet-client"),
		ServiceAccountKey:      at("sa.key"),
		ServiceAccountPub:      at("sa.pub"),
		Admin:                  at("admin.conf"),
		ControllerManager:      at("controller-manager.conf"),
		Scheduler:              at("scheduler.conf"),
		KubeletConfig:          at("kubelet.conf"),
		Proxy:                  at("kube-proxy.conf"),
		CNI:                    at("cni.conf"),
	}
}

// Ensure makes or renews what is needed in dir, which it creates with mode 0700,
// and returns where everything is. Calling it again with the same config changes
// nothing until a certificate has lived two thirds of its life.
func Ensure(dir string, cfg Config) (*Files, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the certificate folder: %w", err)
	}
	k := &keeper{cfg: cfg, files: Paths(dir)}
	for _, step := range []func() error{k.authorities, k.serviceAccountKey, k.leaves, k.kubeconfigs} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if len(k.files.Changed) > 0 {
		if err := syncDir(dir); err != nil {
			return nil, err
		}
	}
	return k.files, nil
}

func (c *Config) complete() error {
	var errs []error
	if c.NodeName == "" {
		errs = append(errs, errors.New("pki.Config.NodeName is required"))
	}
	if c.Server == "" {
		errs = append(errs, errors.New("pki.Config.Server is required"))
	}
	if c.ClusterDomain == "" {
		c.ClusterDomain = "cluster.local"
	}
	if c.ClusterName == "" {
		c.ClusterName = "kubernetes"
	}
	if c.CALife == 0 {
		c.CALife = defaultCALife
	}
	if c.LeafLife == 0 {
		c.LeafLife = defaultLeafLife
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	return errors.Join(errs...)
}

// keeper is one run of Ensure.
type keeper struct {
	cfg            Config
	files          *Files
	ca, frontProxy *authority
}

func (k *keeper) changed(path string) {
	k.files.Changed = append(k.files.Changed, filepath.Base(path))
}

func (k *keeper) authorities() (err error) {
	if k.ca, err = k.authority(k.files.CA, "kubernetes"); err != nil {
		return err
	}
	k.frontProxy, err = k.authority(k.files.FrontProxyCA, "front-proxy-ca")
	return err
}

// leaves keeps the certificates that are files of their own.
func (k *keeper) leaves() error {
	serving := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	apiNames, apiIPs := k.apiServerSANs()
	nodeUser, nodeGroups := "system:node:"+k.cfg.NodeName, []string{"system:nodes"}
	for _, leaf := range []struct {
		files Pair
		by    *authority
		want  request
	}{
		{k.files.APIServer, k.ca, request{user: "kube-apiserver", usages: serving, names: apiNames, ips: apiIPs}},
		{k.files.APIServerKubeletClient, k.ca, request{user: "kube-apiserver-kubelet-client", usages: client}},
		{k.files.FrontProxyClient, k.frontProxy, request{user: "front-proxy-client", usages: client}},
		{k.files.Kubelet, k.ca, request{
			user: nodeUser, groups: nodeGroups, usages: serving,
			names: []string{k.cfg.NodeName}, ips: withLoopback(toIPs(k.cfg.NodeIPs)),
		}},
		{k.files.KubeletClient, k.ca, request{user: nodeUser, groups: nodeGroups, usages: client}},
	} {
		if err := k.leaf(leaf.files, leaf.by, leaf.want); err != nil {
			return err
		}
	}
	return nil
}

// apiServerSANs returns every name and address under which clients know the API
// server.
func (k *keeper) apiServerSANs() (names []string, ips []net.IP) {
	names = []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + k.cfg.ClusterDomain, "localhost", k.cfg.NodeName,
	}
	ips = withLoopback(append(toIPs(k.cfg.ServiceIPs), toIPs(k.cfg.NodeIPs)...))
	for _, san := range k.cfg.ExtraSANs {
		if ip := net.ParseIP(san); ip != nil {
			ips = appendIP(ips, ip)
		} else if !slices.Contains(names, san) {
			names = append(names, san)
		}
	}
	return names, ips
}

func toIPs(addrs []netip.Addr) []net.IP {
	var ips []net.IP
	for _, addr := range addrs {
		ips = appendIP(ips, net.IP(addr.Unmap().AsSlice()))
	}
	return ips
}

func withLoopback(ips []net.IP) []net.IP {
	return appendIP(appendIP(ips, net.IPv4(127, 0, 0, 1)), net.IPv6loopback)
}

func appendIP(ips []net.IP, ip net.IP) []net.IP {
	if slices.ContainsFunc(ips, ip.Equal) {
		return ips
	}
	return append(ips, ip)
}
