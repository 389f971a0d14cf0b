package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestPrefixes(t *testing.T) {
	for name, test := range map[string]struct {
		values []string
		want   string // in the error; empty: none
	}{
		"one":       {values: []string{"10.244.0.0/16"}},
		"two":       {values: []string{"10.244.0.0/16", "fd00::/56"}},
		"none":      {want: "--cluster-cidr: give at least one range"},
		"no prefix": {values: []string{"10.244.0.0"}, want: "--cluster-cidr"},
		"host bits": {values: []string{"10.244.0.1/16"}, want: "did you mean 10.244.0.0/16?"},
	} {
		_, err := prefixes("--cluster-cidr", test.values)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// Every command explains itself with an example.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, cmd := range newCommand().Commands() {
		if cmd.Short == "" || !strings.Contains(cmd.Example, "skiff "+cmd.Name()) {
			t.Errorf("%s lacks a description or an example", cmd.Name())
		}
	}
}

// The background process works in another folder, so it must not read the user's
// relative data directory itself.
func TestDetachedArgsAreAbsolute(t *testing.T) {
	dir, err := (&localOptions{dataDir: "here"}).dir()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	o := &upOptions{}
	flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
	o.addFlags(flags)
	if err := flags.Parse(detachedArgs([]string{"up", "--data-dir", "here", "--node-name", "boat"}, dir)); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(here, "here"); o.dataDir != want || o.progressFD == 0 || o.nodeName != "boat" {
		t.Errorf("data directory %q, want %q; progress to %d, node %q", o.dataDir, want, o.progressFD, o.nodeName)
	}
}

// Service managers set no HOME; a kubeconfig must not land in the working directory.
func TestKubeconfigWithoutHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("SUDO_USER", "")
	t.Setenv("KUBECONFIG", "")
	if path := (&localOptions{}).kubeconfigTarget().Path; !filepath.IsAbs(path) {
		t.Errorf("the kubeconfig is %q", path)
	}
	if path := (&localOptions{kubeconfig: "none"}).kubeconfigTarget().Path; path != "" {
		t.Errorf("with none the kubeconfig is %q", path)
	}
}

func TestNodeNameIsLowered(t *testing.T) {
	for name, want := range map[string]string{"BOAT": "boat", "Boat_1": ""} {
		o := &upOptions{}
		flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
		o.addFlags(flags)
		if err := flags.Parse([]string{"--node-name", name, "--node-ip", "192.0.2.1"}); err != nil {
			t.Fatal(err)
		}
		cfg, err := o.config()
		if cfg.NodeName != want || (err == nil) != (want != "") {
			t.Errorf("%s became %q, %v", name, cfg.NodeName, err)
		}
	}
}
