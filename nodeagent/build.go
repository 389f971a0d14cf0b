package nodeagent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/tools/record"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/dns"
	"github.com/skiff-project/skiff/nodeagent/httpapi"
	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/lifecycle"
	"github.com/skiff-project/skiff/nodeagent/objects"
	"github.com/skiff-project/skiff/nodeagent/pods"
	"github.com/skiff-project/skiff/nodeagent/probes"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/stats"
	"github.com/skiff-project/skiff/nodeagent/status"
	"github.com/skiff-project/skiff/nodeagent/volumes"
)

// How often image pulls may start: kube's defaults.
const (
	pullQPS   = 5
	pullBurst = 10
	// evictionMemory is kept free on every node.
	evictionMemory = 100 << 20
)

// parts are what runs once the engine answers.
type parts struct {
	pods    *pods.Manager
	volumes *volumes.Manager
	writer  *status.Writer
	server  *httpapi.Server
	objects *objects.Store
}

// late hands on to a manager that is made after those who call it.
type late struct {
	manager *pods.Manager
	volumes *volumes.Manager
}

func (l *late) wake(uid types.UID) {
	if l.manager != nil {
		l.manager.Wake(uid)
	}
}

func (l *late) refresh(uid types.UID) {
	if l.manager != nil {
		l.volumes.Refresh(uid)
		l.manager.Refresh(uid)
	}
}

// build makes all parts. Nothing runs yet, so that late is set before it is used.
func (a *Agent) build(ctx context.Context, info runtime.Info, l *listers, recorder record.EventRecorder, engineChanged func()) (*parts, error) {
	c := a.config
	calls := &late{}
	cgroupManager, err := cgroups.NewManager(cgroups.Driver(info.CgroupDriver), info.CgroupVersion)
	if err != nil {
		return nil, err
	}
	allocatable := allocatableOf(info, c.MaxPods)
	store, err := objects.New(objects.Config{Client: a.client, Changed: calls.refresh})
	if err != nil {
		return nil, err
	}
	tokens, err := objects.NewTokens(a.client.CoreV1(), c.Clock)
	if err != nil {
		return nil, err
	}
	sources := &podObjects{Store: store, listers: l}
	volumeManager, err := volumes.New(volumes.Config{
		RootDir: c.RootDir, Objects: store, Tokens: tokens, Clock: c.Clock,
		Failed: func(pod *corev1.Pod, failure *volumes.SetupError) {
			recorder.Event(pod, corev1.EventTypeWarning, "FailedMount", failure.Error())
		},
		Allocatable: func() corev1.ResourceList { return allocatable },
	})
	if err != nil {
		return nil, err
	}
	puller, err := images.New(images.Config{Images: a.engine, Clock: c.Clock, QPS: pullQPS, Burst: pullBurst})
	if err != nil {
		return nil, err
	}
	prober, err := a.newProber(ctx, calls, recorder)
	if err != nil {
		return nil, err
	}
	writer, err := status.NewWriter(a.client.CoreV1())
	if err != nil {
		return nil, err
	}
	manager, err := pods.New(pods.Config{
		Engine: a.engine, Network: a.network, Images: puller, Volumes: volumeManager, Cgroups: cgroupManager, Probes: prober,
		Hooks: lifecycle.Runner{Engine: a.engine, Clock: c.Clock}, Objects: sources, Statuses: writer, Recorder: recorder, Clock: c.Clock,
		PauseImage: c.PauseImage, Scheme: info.Name, HostIPs: hostIPs(c.NodeIPs),
		DNS:        dns.Cluster{Servers: c.ClusterDNS, Domain: c.ClusterDomain},
		ResolvConf: resolvConf(), HostsFile: "/etc/hosts", SeccompDir: filepath.Join(c.RootDir, "seccomp"),
		Allocatable: allocatable, NodeMemory: info.MemoryBytes, ContainerLabels: c.ContainerLabels, EngineChanged: engineChanged,
	})
	if err != nil {
		return nil, err
	}
	calls.manager, calls.volumes = manager, volumeManager
	server, err := a.buildServer(info, manager, cgroupManager)
	if err != nil {
		return nil, err
	}
	return &parts{pods: manager, volumes: volumeManager, writer: writer, server: server, objects: store}, nil
}

func (a *Agent) newProber(ctx context.Context, calls *late, recorder record.EventRecorder) (*probes.Manager, error) {
	return probes.New(ctx, probes.Config{
		Engine: a.engine, Clock: a.config.Clock, Changed: calls.wake,
		Unhealthy: func(pod *corev1.Pod, container *corev1.Container, message string) {
			recorder.Event(pods.ContainerRef(pod, container.Name), corev1.EventTypeWarning, "Unhealthy", message)
		},
		Warning: func(pod *corev1.Pod, container *corev1.Container, message string) {
			recorder.Event(pods.ContainerRef(pod, container.Name), corev1.EventTypeWarning, "ProbeWarning", message)
		},
	})
}

func (a *Agent) buildServer(info runtime.Info, manager *pods.Manager, cgroupManager *cgroups.Manager) (*httpapi.Server, error) {
	c := a.config
	clientCA, err := httpapi.ClientCAFromFile(c.ClientCAFile)
	if err != nil {
		return nil, err
	}
	authn, authz, err := httpapi.NewAuth(a.client, clientCA)
	if err != nil {
		return nil, err
	}
	statistics, err := stats.New(stats.Config{
		NodeName: c.NodeName, Pods: a.engine, Cgroups: cgroupManager, RootDir: c.RootDir, ImageDir: info.RootDir,
		NodeMemory: uint64(info.MemoryBytes), Clock: c.Clock,
	})
	if err != nil {
		return nil, err
	}
	ips := make([]net.IP, 0, len(c.NodeIPs))
	for _, ip := range c.NodeIPs {
		ips = append(ips, ip.AsSlice())
	}
	return httpapi.New(httpapi.Config{
		NodeName: c.NodeName, Address: c.Address, Port: c.Port,
		TLS:           httpapi.TLSConfig{CertFile: c.TLSCertFile, KeyFile: c.TLSKeyFile, ClientCA: clientCA, IPs: ips},
		Authenticator: authn, Authorizer: authz,
		Pods: manager, Runtime: a.engine, Stats: statistics, Clock: c.Clock,
		ResourceMetrics: statistics.MetricsHandler(),
		HealthChecks:    []healthz.HealthChecker{healthz.LogHealthz},
	})
}

func allocatableOf(info runtime.Info, maxPods int) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(info.CPUs), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(max(info.MemoryBytes-evictionMemory, 0), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(maxPods), resource.DecimalSI),
	}
}

func hostIPs(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return texts
}

// systemdResolvConf has the real servers where /etc/resolv.conf has only systemd's local one, which pods cannot reach.
const systemdResolvConf = "/run/systemd/resolve/resolv.conf"

func resolvConf() string {
	const usual = "/etc/resolv.conf"
	data, err := os.ReadFile(usual)
	if err != nil {
		return usual
	}
	for _, server := range dns.Parse(string(data)).Nameservers {
		if addr, err := netip.ParseAddr(server); err != nil || !addr.IsLoopback() {
			return usual
		}
	}
	if _, err := os.Stat(systemdResolvConf); errors.Is(err, os.ErrNotExist) {
		return usual
	}
	return systemdResolvConf
}

// podObjects is what pods get from the API.
type podObjects struct {
	*objects.Store
	listers *listers
}

// Follow implements pods.Objects.
func (o *podObjects) Follow(pod *corev1.Pod) { o.Register(pod.UID, objects.Refs(pod)) }

// Unfollow implements pods.Objects.
func (o *podObjects) Unfollow(uid types.UID) {
	o.Register(uid, nil)
}

// Services implements pods.Objects.
func (o *podObjects) Services(namespace string) []*corev1.Service {
	return o.listers.servicesFor(namespace)
}
