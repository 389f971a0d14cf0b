package dns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const hostText = `# a comment
domain old.example
search example.com lab.example.
nameserver 192.0.2.53
nameserver 2001:db8::53
options edns0 ndots:2
unknown thing
`

// Conformance: "DNS should support configurable pod DNS nameservers",
// "DNS should resolve DNS of partial qualified names for services" (the search list).
func TestForPod(t *testing.T) {
	cluster := Cluster{Servers: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, Domain: "cluster.local"}
	tests := []struct {
		name     string
		spec     corev1.PodSpec
		cluster  Cluster
		want     string
		problems []string
	}{
		{name: "cluster first", spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, cluster: cluster,
			want: "search ns.svc.cluster.local svc.cluster.local cluster.local example.com lab.example\nnameserver 10.96.0.10\noptions ndots:5\n"},
		{name: "cluster first in the host's network is the host's", spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true}, cluster: cluster,
			want: "search example.com lab.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0 ndots:2\n"},
		{name: "unless asked for", spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirstWithHostNet, HostNetwork: true}, cluster: cluster,
			want: "search ns.svc.cluster.local svc.cluster.local cluster.local example.com lab.example\nnameserver 10.96.0.10\noptions ndots:5\n"},
		{name: "default", spec: corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, cluster: cluster,
			want: "search example.com lab.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0 ndots:2\n"},
		{name: "none", spec: corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{
			Nameservers: []string{"1.1.1.1"}, Searches: []string{"resolv.conf.local"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "edns0"}}}}, cluster: cluster,
			want: "search resolv.conf.local\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"},
		{name: "config on top", spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: &corev1.PodDNSConfig{
			Nameservers: []string{"1.1.1.1"}, Searches: []string{"cluster.local", "more"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("1")}}}}, cluster: cluster,
			want: "search ns.svc.cluster.local svc.cluster.local cluster.local example.com lab.example more\nnameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:1\n"},
		{name: "no cluster DNS", spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst},
			want:     "search example.com lab.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions edns0 ndots:2\n",
			problems: []string{`pod: "p_ns(u)". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`}},
		{name: "too many servers", spec: corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"}}}, cluster: cluster,
			want:     "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n",
			problems: []string{"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 1.1.1.1 2.2.2.2 3.3.3.3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}, Spec: test.spec}
			got, problems := ForPod(pod, Parse(hostText), test.cluster)
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Error(diff)
			}
			var texts []string
			for _, p := range problems {
				texts = append(texts, p.Message)
			}
			if diff := cmp.Diff(test.problems, texts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(hostText)
	f.Fuzz(func(t *testing.T, text string) {
		parsed := Parse(text)
		if diff := cmp.Diff(parsed.String(), Parse(parsed.String()).String()); diff != "" && !strings.ContainsAny(text, "#;\r\x00\u0085\u00a0") {
			t.Errorf("not stable: %s", diff)
		}
	})
}

// Conformance: "KubeletManagedEtcHosts should test kubelet managed /etc/hosts file",
// "Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts".
func TestHostsFile(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "ns"}, Spec: corev1.PodSpec{
		Subdomain: "web", HostAliases: []corev1.HostAlias{{IP: "192.0.2.9", Hostnames: []string{"a", "b"}}}}}
	got := HostsFile(pod, []string{"10.244.0.7"}, "cluster.local", "ignored\n")
	want := `# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
10.244.0.7	web-0.web.ns.svc.cluster.local	web-0

# Entries added by HostAliases.
192.0.2.9	a	b
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	pod.Spec.HostNetwork, pod.Spec.HostAliases = true, nil
	if got := HostsFile(pod, nil, "cluster.local", "127.0.0.1 host\n"); got != "# Kubernetes-managed hosts file (host network).\n127.0.0.1 host\n" {
		t.Errorf("host network: %q", got)
	}
}

func TestUTSName(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("a", 62) + "-bcd", Namespace: "ns"}}
	if got, _ := UTSName(pod, "cluster.local"); got != strings.Repeat("a", 62) {
		t.Errorf("long name: %q", got)
	}
	pod.Spec.Hostname, pod.Spec.Subdomain, pod.Spec.SetHostnameAsFQDN = "h", "sub", ptr.To(true)
	if got, _ := UTSName(pod, "cluster.local"); got != "h.sub.ns.svc.cluster.local" {
		t.Errorf("full name: %q", got)
	}
	pod.Spec.Subdomain = strings.Repeat("s", 60)
	if _, err := UTSName(pod, "cluster.local"); err == nil {
		t.Error("a name that is too long is taken")
	}
}
