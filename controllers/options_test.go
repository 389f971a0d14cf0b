package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
)

func TestSelection(t *testing.T) {
	for _, test := range []struct {
		selection []string
		deploy    bool
		gc        bool
	}{
		{nil, true, true},
		{[]string{"*"}, true, true},
		{[]string{"*", "-garbage-collector-controller"}, true, false},
		{[]string{"deployment-controller"}, true, false},
		{[]string{"-deployment-controller"}, false, false},
	} {
		if d, g := enabled("deployment-controller", test.selection), enabled("garbage-collector-controller", test.selection); d != test.deploy || g != test.gc {
			t.Errorf("%v: deployment %t, garbage collector %t", test.selection, d, g)
		}
	}
}

func TestOptions(t *testing.T) {
	valid := []string{"--kubeconfig=x", "--cluster-cidr=10.244.0.0/16,fd00::/48", "--service-cluster-ip-range=10.96.0.0/16"}
	for _, test := range []struct {
		name string
		args []string
		want string // part of the error; empty: none
	}{
		{"valid", valid, ""},
		{"no kubeconfig", nil, "--kubeconfig is required"},
		{"unknown controller", append([]string{"--controllers=*,-foo"}, valid...), "unknown controllers: foo"},
		{"bad CIDR", []string{"--kubeconfig=x", "--cluster-cidr=10.244.0.0"}, "--cluster-cidr"},
		{"two of a family", []string{"--kubeconfig=x", "--cluster-cidr=10.244.0.0/16,10.245.0.0/16"}, "at most one range of each address family"},
		{"one mask for two families", append([]string{"--node-cidr-mask-size=24"}, valid...), "--node-cidr-mask-size-ipv4"},
		{"lease shorter than its renewal", append([]string{"--leader-elect-lease-duration=5s"}, valid...), "--leader-elect-lease-duration must be longer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := NewOptions()
			fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
			o.AddFlags(fs)
			if err := fs.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			err := errors.Join(o.Validate()...)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "RESTConfig") {
		t.Errorf("without a RESTConfig: %v", err)
	}
	m, err := New(Config{RESTConfig: &rest.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Healthy() == nil {
		t.Error("healthy before it runs")
	}
	if m.cfg.NodeMonitorGracePeriod.Seconds() != 50 || m.cfg.TerminatedPodThreshold != 12500 || m.cfg.NodeCIDRMaskIPv4 != 24 {
		t.Errorf("defaults: %+v", m.cfg)
	}
}
