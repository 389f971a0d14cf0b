// Package network joins pods to the pod network through CNI (the Container
// Network Interface, github.com/containernetworking/cni).
//
// The configuration is the first one, by name, in the configuration directory,
// as every kubelet takes it; a CNI daemon writes it there when it is ready, and
// until then the node's network is not. libcni's cache on disk remembers what
// was added with which configuration: a pod is always taken out with the
// configuration that it was put in with, also after a restart of the agent or
// of the machine.
package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// interfaceName is the pods' network interface; programs in pods rely on it.
const interfaceName = "eth0"

// Config is what a Network needs.
type Config struct {
	ConfDir  string
	BinDirs  []string
	CacheDir string
	// OnChange is called, if set, after Ready's answer may have changed.
	OnChange func()
}

// Network puts pods in and out of the pod network.
type Network struct {
	config Config
	cni    *libcni.CNIConfig

	mu      sync.Mutex // guards what follows
	list    *libcni.NetworkConfigList
	loadErr error
}

// Pod is a pod to be put in or out.
type Pod struct {
	runtime.PodRef
	SandboxID string
	// NetNS is the path of the network namespace; empty once it is gone.
	NetNS string
	Ports []PortMapping
}

// PortMapping publishes a pod's port on the node (containers' hostPort), with the names of CNI's portMappings.
type PortMapping struct {
	HostPort      int32  `json:"hostPort"`
	ContainerPort int32  `json:"containerPort"`
	Protocol      string `json:"protocol"` // tcp, udp, sctp
	HostIP        string `json:"hostIP,omitempty"`
}

// Result is a pod's place in the network.
type Result struct {
	// IPs in the order in which the plugin gave them: the first is status.podIP.
	IPs []netip.Addr
}

// New returns a Network and reads the configuration that there is; none is not an error, see Ready.
func New(config Config) (*Network, error) {
	switch {
	case config.ConfDir == "":
		return nil, errors.New("network: ConfDir is missing")
	case len(config.BinDirs) == 0:
		return nil, errors.New("network: BinDirs is missing")
	case config.CacheDir == "":
		return nil, errors.New("network: CacheDir is missing")
	}
	n := &Network{
		config: config,
		cni:    libcni.NewCNIConfigWithCacheDir(config.BinDirs, config.CacheDir, nil),
	}
	n.load()
	return n, nil
}

// Run watches the configuration directory until ctx is done.
func (n *Network) Run(ctx context.Context) error {
	if err := os.MkdirAll(n.config.ConfDir, 0o755); err != nil {
		return fmt.Errorf("making the CNI configuration directory: %w", err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the CNI configuration: %w", err)
	}
	defer watcher.Close()
	if err := watcher.Add(n.config.ConfDir); err != nil {
		return fmt.Errorf("watching the CNI configuration: %w", err)
	}
	n.reload(ctx) // what came before the watch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			n.reload(ctx)
		case err := <-watcher.Errors:
			klog.FromContext(ctx).Error(err, "Watching the CNI configuration")
			n.reload(ctx) // events may have been lost
		}
	}
}

func (n *Network) reload(ctx context.Context) {
	before := n.Ready()
	n.load()
	after := n.Ready()
	if (before == nil) == (after == nil) {
		return
	}
	if after == nil {
		klog.FromContext(ctx).Info("The pod network has a configuration", "dir", n.config.ConfDir)
	}
	if n.config.OnChange != nil {
		n.config.OnChange()
	}
}

// load reads the directory again.
func (n *Network) load() {
	list, err := firstConfig(n.config.ConfDir)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list, n.loadErr = list, err
}

// Ready returns nil once pods can be put into the network, else why not.
func (n *Network) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.list == nil {
		return fmt.Errorf("cni plugin not initialized: %w", n.loadErr)
	}
	return nil
}

func (n *Network) current() (*libcni.NetworkConfigList, error) {
	if err := n.Ready(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list, nil
}

// firstConfig returns the first configuration, by file name, that can be read.
func firstConfig(dir string) (*libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(dir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	slices.Sort(files)
	var errs []error
	for _, file := range files {
		list, err := readConfig(file)
		if err == nil && len(list.Plugins) == 0 {
			err = errors.New("it names no plugin")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %s: %w", filepath.Base(file), err))
			continue
		}
		return list, nil
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("no network config found in %s", dir)
	}
	return nil, errors.Join(errs...)
}

func readConfig(file string) (*libcni.NetworkConfigList, error) {
	if filepath.Ext(file) == ".conflist" {
		return libcni.NetworkConfFromFile(file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	conf, err := libcni.NetworkPluginConfFromBytes(data)
	if err != nil {
		return nil, err
	}
	if conf.Network.Type == "" {
		return nil, errors.New("it has no plugin type")
	}
	// A file with a single plugin is a list of one; kubelets have taken it since ever.
	wrapped := fmt.Sprintf(`{"name":%q,"cniVersion":%q,"plugins":[%s]}`, conf.Network.Name, conf.Network.CNIVersion, data)
	return libcni.NetworkConfFromBytes([]byte(wrapped))
}

// Add puts a pod in and returns its addresses.
func (n *Network) Add(ctx context.Context, pod Pod) (Result, error) {
	list, err := n.current()
	if err != nil {
		return Result{}, err
	}
	raw, err := n.cni.AddNetworkList(ctx, list, runtimeConf(pod))
	if err != nil {
		return Result{}, fmt.Errorf("plugin type=%q name=%q failed (add): %w", pluginTypes(list), list.Name, err)
	}
	full, err := types100.GetResult(raw)
	if err != nil {
		return Result{}, fmt.Errorf("reading the answer of network %q: %w", list.Name, err)
	}
	result := podIPs(full)
	if len(result.IPs) == 0 {
		return Result{}, fmt.Errorf("network %q gave the pod no address", list.Name)
	}
	return result, nil
}

// Cached returns what Add returned for that sandbox, from disk; false if it is not in the network.
func (n *Network) Cached(pod Pod) (Result, bool) {
	for _, attachment := range n.attachments(pod.SandboxID) {
		raw, err := n.cni.GetNetworkListCachedResult(attachment.list, attachment.conf)
		if err != nil || raw == nil {
			continue
		}
		full, err := types100.GetResult(raw)
		if err != nil {
			continue
		}
		if result := podIPs(full); len(result.IPs) > 0 {
			return result, true
		}
	}
	return Result{}, false
}

// Check asks the plugins whether a pod is still in the network as Add has left it.
func (n *Network) Check(ctx context.Context, pod Pod) error {
	for _, attachment := range n.attachments(pod.SandboxID) {
		conf := attachment.conf
		conf.NetNS = pod.NetNS
		if err := n.cni.CheckNetworkList(ctx, attachment.list, conf); err != nil && !errors.Is(err, libcni.ErrorCheckNotSupp) {
			return fmt.Errorf("plugin type=%q name=%q failed (check): %w", pluginTypes(attachment.list), attachment.list.Name, err)
		}
	}
	return nil
}

// Del takes a pod out. It may be called any number of times, for pods that
// were never put in, and after a reboot, when the namespace is gone.
func (n *Network) Del(ctx context.Context, pod Pod) error {
	if pod.NetNS != "" {
		if _, err := os.Stat(pod.NetNS); err != nil {
			pod.NetNS = "" // plugins must release addresses without it
		}
	}
	attachments := n.attachments(pod.SandboxID)
	if len(attachments) == 0 {
		// An Add that was cut short may have left something behind without a note in the cache.
		list, err := n.current()
		if err != nil {
			return nil
		}
		attachments = []attachment{{list: list, conf: runtimeConf(pod)}}
	}
	for _, a := range attachments {
		a.conf.NetNS = pod.NetNS
		if err := n.cni.DelNetworkList(ctx, a.list, a.conf); err != nil {
			return fmt.Errorf("plugin type=%q name=%q failed (delete): %w", pluginTypes(a.list), a.list.Name, err)
		}
	}
	return nil
}

// attachment is one network that a sandbox was put in, as it was done.
type attachment struct {
	list *libcni.NetworkConfigList
	conf *libcni.RuntimeConf
}

func (n *Network) attachments(sandboxID string) []attachment {
	cached, err := n.cni.GetCachedAttachments(sandboxID)
	if err != nil {
		return nil // no cache: nothing was added
	}
	var result []attachment
	for _, c := range cached {
		list, err := libcni.NetworkConfFromBytes(c.Config)
		if err != nil {
			continue
		}
		result = append(result, attachment{list: list, conf: &libcni.RuntimeConf{
			ContainerID: c.ContainerID, NetNS: c.NetNS, IfName: c.IfName, Args: c.CniArgs, CapabilityArgs: c.CapabilityArgs,
		}})
	}
	return result
}

// runtimeConf returns the arguments that CNI plugins know from every kubelet.
func runtimeConf(pod Pod) *libcni.RuntimeConf {
	conf := &libcni.RuntimeConf{
		ContainerID: pod.SandboxID,
		NetNS:       pod.NetNS,
		IfName:      interfaceName,
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", pod.Namespace},
			{"K8S_POD_NAME", pod.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", pod.SandboxID},
			{"K8S_POD_UID", pod.UID},
		},
	}
	if len(pod.Ports) > 0 {
		// libcni gives it only to plugins that have the capability.
		conf.CapabilityArgs = map[string]any{"portMappings": pod.Ports}
	}
	return conf
}

// podIPs returns the addresses of interfaces inside the pod.
func podIPs(result *types100.Result) Result {
	var ips []netip.Addr
	for _, ip := range result.IPs {
		if ip.Interface != nil && *ip.Interface >= 0 && *ip.Interface < len(result.Interfaces) &&
			result.Interfaces[*ip.Interface].Sandbox == "" {
			continue // an address of the host's side
		}
		if addr, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			ips = append(ips, addr.Unmap())
		}
	}
	return Result{IPs: ips}
}

func pluginTypes(list *libcni.NetworkConfigList) string {
	types := make([]string, 0, len(list.Plugins))
	for _, plugin := range list.Plugins {
		types = append(types, plugin.Network.Type)
	}
	return strings.Join(types, ",")
}
