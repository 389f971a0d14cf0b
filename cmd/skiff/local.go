package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/local"
	"github.com/skiff-project/skiff/cluster/pki"
)

// localOptions are the flags that all commands about this machine's cluster have.
type localOptions struct {
	dataDir    string
	dockerHost string
	kubeconfig string
}

func (o *localOptions) addFlags(fs *pflag.FlagSet) {
	o.addDataDir(fs)
	fs.StringVar(&o.dockerHost, "docker-host", "", "URL of the Docker Engine (default: DOCKER_HOST or the usual socket)")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", `kubeconfig that holds the context "skiff" (default: KUBECONFIG or ~/.kube/config; "none": leave kubeconfigs alone)`)
}

func (o *localOptions) addDataDir(fs *pflag.FlagSet) {
	fs.StringVar(&o.dataDir, "data-dir", layout.DefaultDataDir, "where the cluster's state is kept")
}

func (o *localOptions) dir() (layout.DataDir, error) {
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return "", fmt.Errorf("--data-dir: %w", err)
	}
	return layout.DataDir(dir), nil
}

// kubeconfigTarget finds the user's kubeconfig as kubectl would. Under sudo it is
// that of the caller, who is going to run kubectl.
func (o *localOptions) kubeconfigTarget() local.Kubeconfig {
	switch o.kubeconfig {
	case "none":
		return local.Kubeconfig{}
	case "":
		return local.Kubeconfig{Path: pki.UserKubeconfig(os.Getenv(clientcmd.RecommendedConfigPathEnvVar), homeDir())}
	default:
		return local.Kubeconfig{Path: o.kubeconfig}
	}
}

// homeDir is the home of who is going to run kubectl. Service managers set no
// HOME; a kubeconfig relative to the working directory would help nobody.
func homeDir() string {
	if caller, err := user.Lookup(os.Getenv("SUDO_USER")); err == nil {
		return caller.HomeDir
	}
	if home := os.Getenv("HOME"); home != "" {
		return home
	}
	if self, err := user.Current(); err == nil && self.HomeDir != "" {
		return self.HomeDir
	}
	return "/root" // these commands need root
}
