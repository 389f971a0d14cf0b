package main

import (
	"strings"
	"testing"
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
