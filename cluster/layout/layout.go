// Package layout names every file and folder of a skiff data directory, so that
// no other package spells a path, and knows which versions of it can be read.
package layout

import "path/filepath"

// DefaultDataDir is where the all-in-one keeps its state.
const DefaultDataDir = "/var/lib/skiff"

// DataDir is the root of one cluster's state on this machine.
type DataDir string

func (d DataDir) path(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// PKI holds certificates, keys and the component kubeconfigs.
func (d DataDir) PKI() string { return d.path("pki") }

// AdminKubeconfig is the administrator's kubeconfig.
func (d DataDir) AdminKubeconfig() string { return d.path("pki", "admin.conf") }

// Kubelet is the node agent's root: pod volumes and their mounts.
func (d DataDir) Kubelet() string { return d.path("kubelet") }

// PodLogs holds what pods log.
func (d DataDir) PodLogs() string { return d.path("pods") }

// CNIConf, CNIBin and CNIState are the pod network's configuration, plugins and
// address allocations.
func (d DataDir) CNIConf() string  { return d.path("cni", "net.d") }
func (d DataDir) CNIBin() string   { return d.path("cni", "bin") }
func (d DataDir) CNIState() string { return d.path("cni", "networks") }

// CNICache holds libcni's results.
func (d DataDir) CNICache() string { return d.path("cni", "cache") }

// Logs holds one file per component.
func (d DataDir) Logs() string { return d.path("logs") }

// Log is the log file of one component.
func (d DataDir) Log(component string) string { return d.path("logs", component+".log") }

// Lock is held (flock) by the running process and names it.
func (d DataDir) Lock() string { return d.path("skiff.lock") }

// Format records which version of skiff wrote this directory.
func (d DataDir) FormatFile() string { return d.path("format.json") }
