package server_test

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/skiff-project/skiff/server"
)

func TestOptionsAreChecked(t *testing.T) {
	for flags, want := range map[string]string{
		"--service-cluster-ip-range=x":                                  "--service-cluster-ip-range",
		"--service-cluster-ip-range=10.0.0.0/16,10.1.0.0/16":            "different IP families",
		"--authorization-mode=Wrong":                                    `unknown authorization mode "Wrong"`,
		"--data-dir=":                                                   "--data-dir is required without --etcd-servers",
		"--kubelet-client-key=x":                                        "--kubelet-client-certificate and --kubelet-client-key",
		"--etcd-servers-overrides=/events#http://127.0.0.1:1":           "--etcd-servers-overrides",
		"--enable-priority-and-fairness=true":                           "flowcontrol.apiserver.k8s.io",
		"--secure-port=0":                                               "--secure-port",
		"--data-dir=/x --storage-media-type=text/plain":                 "--storage-media-type",
		"--enable-admission-plugins=Unknown":                            "Unknown",
		"--service-node-port-range=0-0 --etcd-servers=https://[::1]:99": "",
	} {
		o := server.NewOptions()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.AddFlags(fs)
		if err := fs.Parse(strings.Fields(flags)); err != nil {
			if want == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", flags, err)
			}
			continue
		}
		var texts []string
		for _, err := range o.Validate() {
			texts = append(texts, err.Error())
		}
		if got := strings.Join(texts, "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", flags, got, want)
		}
	}
}
