// Package dns writes the two files by which a container finds others:
// /etc/resolv.conf (from the pod's dnsPolicy and dnsConfig) and /etc/hosts (from
// its name, addresses and hostAliases). Both are pure: texts in, texts out.
package dns

import (
	"bufio"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The limits of resolvers that kube knows of.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// Config is a resolver's configuration.
type Config struct {
	Nameservers []string
	Searches    []string
	Options     []string
}

// Cluster says where the cluster's own DNS is.
type Cluster struct {
	Servers []netip.Addr
	Domain  string // "cluster.local"
}

// Parse reads a resolv.conf. What it does not know it leaves out, as resolvers do.
func Parse(text string) Config {
	var c Config
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			c.Nameservers = append(c.Nameservers, fields[1])
		case "search", "domain": // the last one counts
			c.Searches = nil
			for _, domain := range fields[1:] {
				if domain != "." {
					domain = strings.TrimSuffix(domain, ".")
				}
				c.Searches = append(c.Searches, domain)
			}
		case "options":
			c.Options = slices.Clone(fields[1:])
		}
	}
	return c
}

// String returns the configuration as a resolv.conf.
func (c Config) String() string {
	var b strings.Builder
	if len(c.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(c.Searches, " "))
	}
	for _, server := range c.Nameservers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(c.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(c.Options, " "))
	}
	return b.String()
}

// ForPod returns the pod's configuration on a node with the configuration host.
// The problems are texts of events (reasons MissingClusterDNS, DNSConfigForming).
func ForPod(pod *corev1.Pod, host Config, cluster Cluster) (Config, []Problem) {
	var problems []Problem
	policy := pod.Spec.DNSPolicy
	if policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork {
		policy = corev1.DNSDefault
	}
	if policy == corev1.DNSClusterFirstWithHostNet || policy == "" {
		policy = corev1.DNSClusterFirst
	}
	if policy == corev1.DNSClusterFirst && len(cluster.Servers) == 0 {
		problems = append(problems, Problem{"MissingClusterDNS", fmt.Sprintf(
			"pod: %q. kubelet does not have ClusterDNS IP configured and cannot create Pod using %q policy. Falling back to %q policy.",
			pod.Name+"_"+pod.Namespace+"("+string(pod.UID)+")", pod.Spec.DNSPolicy, corev1.DNSDefault)})
		policy = corev1.DNSDefault
	}
	var c Config
	switch policy {
	case corev1.DNSClusterFirst:
		c = clusterFirst(pod.Namespace, host, cluster)
	case corev1.DNSDefault:
		c = Config{Nameservers: slices.Clone(host.Nameservers), Searches: slices.Clone(host.Searches), Options: slices.Clone(host.Options)}
	}
	if pod.Spec.DNSConfig != nil {
		c.merge(pod.Spec.DNSConfig)
	}
	return c.fit(problems)
}

func clusterFirst(namespace string, host Config, cluster Cluster) Config {
	c := Config{Options: []string{"ndots:5"}}
	for _, server := range cluster.Servers {
		c.Nameservers = append(c.Nameservers, server.String())
	}
	if cluster.Domain != "" {
		c.Searches = []string{namespace + ".svc." + cluster.Domain, "svc." + cluster.Domain, cluster.Domain}
	}
	for _, domain := range host.Searches {
		if !slices.Contains(c.Searches, domain) {
			c.Searches = append(c.Searches, domain)
		}
	}
	return c
}

// merge adds what the pod asks for; its options replace those of the same name.
func (c *Config) merge(more *corev1.PodDNSConfig) {
	for _, server := range more.Nameservers {
		if !slices.Contains(c.Nameservers, server) {
			c.Nameservers = append(c.Nameservers, server)
		}
	}
	for _, domain := range more.Searches {
		if !slices.Contains(c.Searches, domain) {
			c.Searches = append(c.Searches, domain)
		}
	}
	for _, option := range more.Options {
		c.Options = slices.DeleteFunc(c.Options, func(have string) bool {
			name, _, _ := strings.Cut(have, ":")
			return name == option.Name
		})
		text := option.Name
		if option.Value != nil && *option.Value != "" {
			text += ":" + *option.Value
		}
		c.Options = append(c.Options, text)
	}
}

// Problem is an event about a pod's DNS.
type Problem struct {
	Reason, Message string
}

// fit cuts what resolvers would not read.
func (c Config) fit(problems []Problem) (Config, []Problem) {
	if len(c.Nameservers) > maxNameservers {
		c.Nameservers = c.Nameservers[:maxNameservers]
		problems = append(problems, Problem{"DNSConfigForming", fmt.Sprintf(
			"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: %s", strings.Join(c.Nameservers, " "))})
	}
	cut := false
	if len(c.Searches) > maxSearches {
		c.Searches, cut = c.Searches[:maxSearches], true
	}
	for len(strings.Join(c.Searches, " ")) > maxSearchChars {
		c.Searches, cut = c.Searches[:len(c.Searches)-1], true
	}
	if cut {
		problems = append(problems, Problem{"DNSConfigForming", fmt.Sprintf(
			"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: %s", strings.Join(c.Searches, " "))})
	}
	return c, problems
}

// Hostname returns the pod's host name and, with a subdomain, its domain.
func Hostname(pod *corev1.Pod, clusterDomain string) (name, domain string) {
	if pod.Spec.HostnameOverride != nil {
		return *pod.Spec.HostnameOverride, ""
	}
	name = pod.Name
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	if len(name) > validation.DNS1123LabelMaxLength {
		name = strings.TrimRight(name[:validation.DNS1123LabelMaxLength], "-.")
	}
	if pod.Spec.Subdomain != "" {
		domain = fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, clusterDomain)
	}
	return name, domain
}

// maxNodeName is the longest name that the kernel takes for a host.
const maxNodeName = 64

// UTSName returns what the pod's kernel host name is: the full name with setHostnameAsFQDN.
func UTSName(pod *corev1.Pod, clusterDomain string) (string, error) {
	name, domain := Hostname(pod, clusterDomain)
	if pod.Spec.SetHostnameAsFQDN == nil || !*pod.Spec.SetHostnameAsFQDN || domain == "" {
		return name, nil
	}
	full := name + "." + domain
	if len(full) > maxNodeName {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			full, maxNodeName, len(full))
	}
	return full, nil
}

// HostsFile returns the pod's /etc/hosts. A pod in the host's network gets the
// host's file, hostFile, with the pod's aliases.
func HostsFile(pod *corev1.Pod, ips []string, clusterDomain, hostFile string) string {
	var b strings.Builder
	if pod.Spec.HostNetwork {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.WriteString(hostFile)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n" +
			"127.0.0.1\tlocalhost\n" +
			"::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		name, domain := Hostname(pod, clusterDomain)
		for _, ip := range ips {
			if domain != "" {
				fmt.Fprintf(&b, "%s\t%s.%s\t%s\n", ip, name, domain, name)
			} else {
				fmt.Fprintf(&b, "%s\t%s\n", ip, name)
			}
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, alias := range pod.Spec.HostAliases {
			fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
		}
	}
	return b.String()
}
