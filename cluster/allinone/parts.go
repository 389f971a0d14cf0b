package allinone

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-project/skiff/cluster/pki"
	"github.com/skiff-project/skiff/cni/daemon"
	"github.com/skiff-project/skiff/controllers"
	"github.com/skiff-project/skiff/nodeagent"
	"github.com/skiff-project/skiff/proxy"
	"github.com/skiff-project/skiff/scheduler"
	"github.com/skiff-project/skiff/server"
)

func (p *process) ensurePKI() error {
	var serviceIPs []netip.Addr
	for _, prefix := range p.cfg.ServiceCIDRs {
		serviceIPs = append(serviceIPs, prefix.Masked().Addr().Next())
	}
	files, err := pki.Ensure(p.cfg.DataDir.PKI(), pki.Config{
		NodeName:   p.cfg.NodeName,
		NodeIPs:    p.cfg.NodeIPs,
		ServiceIPs: serviceIPs,
		Server:     "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.cfg.SecurePort)),
	})
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	p.files = files
	return nil
}

// serverOptions is the API server's command line, as it were.
func (p *process) serverOptions() (*server.Options, error) {
	o := server.NewOptions()
	o.DataDir = string(p.cfg.DataDir)
	o.SecureServing.BindPort = p.cfg.SecurePort
	o.SecureServing.ServerCert.CertKey.CertFile = p.files.APIServer.Cert
	o.SecureServing.ServerCert.CertKey.KeyFile = p.files.APIServer.Key
	o.ClientCert.ClientCA = p.files.CA.Cert
	o.Run.AdvertiseAddress = net.IP(p.cfg.NodeIPs[0].AsSlice())
	o.RequestHeader.ClientCAFile = p.files.FrontProxyCA.Cert
	o.RequestHeader.AllowedNames = []string{"front-proxy-client"}
	o.RequestHeader.UsernameHeaders = []string{"X-Remote-User"}
	o.RequestHeader.GroupHeaders = []string{"X-Remote-Group"}
	o.RequestHeader.ExtraHeaderPrefixes = []string{"X-Remote-Extra-"}
	o.ProxyClientCertFile = p.files.FrontProxyClient.Cert
	o.ProxyClientKeyFile = p.files.FrontProxyClient.Key
	o.ServiceAccounts.KeyFiles = []string{p.files.ServiceAccountPub}
	o.ServiceAccounts.SigningKeyFile = p.files.ServiceAccountKey
	o.Kubelet.CAFile = p.files.CA.Cert
	o.Kubelet.ClientCertFile = p.files.APIServerKubeletClient.Cert
	o.Kubelet.ClientKeyFile = p.files.APIServerKubeletClient.Key
	// The node's name need not resolve on this machine; its address always works.
	o.Kubelet.PreferredAddressTypes = []string{"InternalIP", "ExternalIP", "Hostname"}
	o.Services.ClusterIPRange = joinPrefixes(p.cfg.ServiceCIDRs)
	if err := o.Complete(); err != nil {
		return nil, fmt.Errorf("completing the API server's options: %w", err)
	}
	return o, nil
}

func joinPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}

// parts lists everything that runs beside the API server. The order is that of
// their start; they do not depend on it, since all work by watching.
func (p *process) parts() []part {
	return []part{
		{"controller-manager", p.buildControllers},
		{"scheduler", func() (runner, error) {
			return scheduler.New(scheduler.Config{RESTConfig: p.client("system:kube-scheduler")})
		}},
		{"proxy", func() (runner, error) { return proxy.New(p.proxyConfig()) }},
		{"cni", func() (runner, error) { return daemon.New(p.networkConfig()) }},
		{"nodeagent", func() (runner, error) { return nodeagent.New(p.nodeConfig()) }},
	}
}

func (p *process) buildControllers() (runner, error) {
	rootCA, err := os.ReadFile(p.files.CA.Cert)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificate: %w", err)
	}
	signingKey, err := os.ReadFile(p.files.ServiceAccountKey)
	if err != nil {
		return nil, fmt.Errorf("reading the service account key: %w", err)
	}
	return controllers.New(controllers.Config{
		RESTConfig:               p.client("system:kube-controller-manager"),
		RootCA:                   rootCA,
		ServiceAccountSigningKey: signingKey,
		ClusterCIDRs:             p.cfg.PodCIDRs,
		ServiceCIDRs:             p.cfg.ServiceCIDRs,
	})
}

func (p *process) proxyConfig() proxy.Config {
	return proxy.Config{
		RESTConfig:         p.client("system:kube-proxy"),
		NodeName:           p.cfg.NodeName,
		NodeIPs:            p.cfg.NodeIPs,
		ClusterCIDRs:       p.cfg.PodCIDRs,
		ServiceCIDRs:       p.cfg.ServiceCIDRs,
		HealthzBindAddress: net.JoinHostPort("0.0.0.0", strconv.Itoa(p.cfg.ProxyHealthPort)),
	}
}

func (p *process) networkConfig() daemon.Config {
	return daemon.Config{
		RESTConfig:   p.client("system:skiff:cni"),
		NodeName:     p.cfg.NodeName,
		ConfDir:      p.cfg.DataDir.CNIConf(),
		BinDir:       p.cfg.DataDir.CNIBin(),
		DataDir:      p.cfg.DataDir.CNIState(),
		ClusterCIDRs: p.cfg.PodCIDRs,
	}
}

func (p *process) nodeConfig() nodeagent.Config {
	return nodeagent.Config{
		RESTConfig:    p.client("system:node:"+p.cfg.NodeName, "system:nodes"),
		NodeName:      p.cfg.NodeName,
		NodeIPs:       p.cfg.NodeIPs,
		DockerHost:    p.cfg.DockerHost,
		RootDir:       p.cfg.DataDir.Kubelet(),
		PodLogDir:     p.cfg.DataDir.PodLogs(),
		CNIConfDir:    p.cfg.DataDir.CNIConf(),
		CNIBinDirs:    []string{p.cfg.DataDir.CNIBin()},
		CNICacheDir:   p.cfg.DataDir.CNICache(),
		ClusterDomain: "cluster.local",
		PauseImage:    PauseImage,
		Address:       "0.0.0.0",
		Port:          p.cfg.KubeletPort,
		TLSCertFile:   p.files.Kubelet.Cert,
		TLSKeyFile:    p.files.Kubelet.Key,
		ClientCAFile:  p.files.CA.Cert,
	}
}
