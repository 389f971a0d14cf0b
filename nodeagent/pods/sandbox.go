package pods

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/dns"
	"github.com/skiff-project/skiff/nodeagent/network"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/volumes"
)

// The delays between tries of what makes a pod possible.
const (
	setupRetry     = 500 * time.Millisecond
	setupRetryMax  = 2 * time.Minute
	sandboxRetry   = time.Second
	sandboxMax     = 15 * time.Second
	networkWaitFor = 10 * time.Second
)

// syncVolumes makes the volumes. Once they are there they refresh themselves, but
// must be told of a pod that has changed.
func (w *worker) syncVolumes(ctx context.Context) {
	if w.volumesReady && !w.volumesStale || w.tasks[volumesTask] != nil || !w.due(volumesTask) {
		return
	}
	w.volumesStale = false
	pod := w.pod
	w.spawn(ctx, volumesTask, func(ctx context.Context) func() {
		err := w.m.config.Volumes.Mount(ctx, pod)
		return func() { w.volumesDone(ctx, err) }
	})
}

func (w *worker) volumesDone(ctx context.Context, err error) {
	if err == nil {
		w.volumesReady = true
		w.succeeded(volumesTask)
		return
	}
	if w.stopping {
		return
	}
	w.volumesStale = true
	w.retryDelay(volumesTask, setupRetry, setupRetryMax)
	for _, failure := range setupErrors(err) {
		w.event(corev1.EventTypeWarning, "FailedMount", "%s", failure.Error())
	}
	klog.FromContext(ctx).V(1).Info("Making volumes failed; will be tried again", "err", err)
}

// setupErrors splits the joined error of Setup into one for each volume.
func setupErrors(err error) []error {
	var failure *volumes.SetupError
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.As(err, &failure) && failure.Error() == err.Error() {
		return []error{err}
	}
	return joined.Unwrap()
}

// createSandbox makes the pod's sandbox and puts it into the network.
func (w *worker) createSandbox(ctx context.Context, attempt int) {
	pod := w.pod
	if err := w.m.config.Network.Ready(); err != nil && !pod.Spec.HostNetwork {
		w.event(corev1.EventTypeWarning, "NetworkNotReady",
			"network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not ready: %v", err)
		// The network says when it is ready; this is the safety net.
		w.retryAt[sandboxKey] = w.m.config.Clock.Now().Add(networkWaitFor)
		w.wakeBy(w.retryAt[sandboxKey])
		return
	}
	w.attached, w.podIPs = "", nil
	w.spawn(ctx, sandboxKey, func(ctx context.Context) func() {
		made, err := w.makeSandbox(ctx, pod, attempt)
		return func() { w.sandboxDone(made, err) }
	})
}

// sandboxMade is a sandbox that is ready for containers.
type sandboxMade struct {
	sandbox runtime.Sandbox
	cgroup  string
	ips     []string
}

func (w *worker) makeSandbox(ctx context.Context, pod *corev1.Pod, attempt int) (sandboxMade, error) {
	qos := podhelper.QOSClass(pod)
	cgroup, err := w.m.config.Cgroups.EnsurePod(ctx, qos, string(pod.UID), cgroups.PodLimits(pod, 0))
	if err != nil {
		return sandboxMade{}, err
	}
	config, err := w.m.sandboxConfig(pod, attempt, cgroup)
	if err != nil {
		return sandboxMade{}, err
	}
	sandbox, err := w.m.config.Engine.CreateSandbox(ctx, config)
	if err != nil {
		return sandboxMade{}, err
	}
	made := sandboxMade{sandbox: sandbox, cgroup: cgroup, ips: w.m.config.HostIPs}
	if !pod.Spec.HostNetwork {
		result, err := w.m.config.Network.Add(ctx, networkPod(pod, &sandbox))
		if err != nil {
			return made, w.discard(ctx, pod, &sandbox, fmt.Errorf("failed to setup network for sandbox %q: %w", sandbox.ID, err))
		}
		made.ips = texts(result.IPs)
	}
	if err := w.m.writeNameFiles(pod, made.ips); err != nil {
		return made, err
	}
	return made, nil
}

// discard removes a sandbox that cannot be used, and returns why.
func (w *worker) discard(ctx context.Context, pod *corev1.Pod, sandbox *runtime.Sandbox, cause error) error {
	// Also when the pod is being deleted: nothing may be left behind.
	ctx = context.WithoutCancel(ctx)
	return errors.Join(cause,
		w.m.config.Network.Del(ctx, networkPod(pod, sandbox)),
		w.m.config.Engine.RemoveSandbox(ctx, sandbox.ID))
}

func (w *worker) sandboxDone(made sandboxMade, err error) {
	if made.sandbox.ID != "" && err == nil {
		w.attached, w.cgroup = made.sandbox.ID, made.cgroup
		if !made.sandbox.HostNetwork {
			w.podIPs = made.ips
		}
		w.observed.PodRef = made.sandbox.Pod
		w.observed.Sandboxes = append([]runtime.Sandbox{made.sandbox}, w.observed.Sandboxes...)
		w.succeeded(sandboxKey)
		return
	}
	w.flag(func(f *flags) { f.engine = true })
	if w.stopping {
		return
	}
	w.retryDelay(sandboxKey, sandboxRetry, sandboxMax)
	w.event(corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
}

func (m *Manager) sandboxConfig(pod *corev1.Pod, attempt int, cgroup string) (runtime.SandboxConfig, error) {
	hostname, err := dns.UTSName(pod, m.config.DNS.Domain)
	if err != nil {
		return runtime.SandboxConfig{}, err
	}
	config := runtime.SandboxConfig{
		Pod:     runtime.PodRef{UID: string(pod.UID), Namespace: pod.Namespace, Name: pod.Name},
		Attempt: attempt, Image: m.config.PauseImage, Hostname: hostname,
		HostNetwork: pod.Spec.HostNetwork, HostPID: pod.Spec.HostPID, HostIPC: pod.Spec.HostIPC,
		ShareProcessNamespace: sharesProcesses(pod),
		CgroupParent:          cgroup, Labels: m.config.ContainerLabels,
	}
	if pod.Spec.SecurityContext != nil && len(pod.Spec.SecurityContext.Sysctls) > 0 {
		config.Sysctls = map[string]string{}
		for _, sysctl := range pod.Spec.SecurityContext.Sysctls {
			config.Sysctls[sysctl.Name] = sysctl.Value
		}
	}
	return config, nil
}

func sharesProcesses(pod *corev1.Pod) bool {
	return pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace
}

// networkPod names a sandbox to the network, with the pod's ports on the node; pod may be nil.
func networkPod(pod *corev1.Pod, sandbox *runtime.Sandbox) network.Pod {
	result := network.Pod{PodRef: sandbox.Pod, SandboxID: sandbox.ID, NetNS: sandbox.NetNS}
	if pod == nil {
		return result
	}
	for _, c := range allContainers(pod) {
		for _, port := range c.Ports {
			if port.HostPort == 0 {
				continue
			}
			protocol := "tcp"
			if port.Protocol != "" {
				protocol = strings.ToLower(string(port.Protocol))
			}
			result.Ports = append(result.Ports, network.PortMapping{
				HostPort: port.HostPort, ContainerPort: port.ContainerPort, Protocol: protocol, HostIP: port.HostIP,
			})
		}
	}
	return result
}

func texts(ips []netip.Addr) []string {
	result := make([]string, len(ips))
	for i, ip := range ips {
		result[i] = ip.String()
	}
	return result
}

// nameFiles are the pod's files of names, which all its containers have mounted.
type nameFiles struct {
	hosts, resolv string
}

func (m *Manager) nameFiles(pod *corev1.Pod) (nameFiles, error) {
	dir, err := m.config.Volumes.PodDir(pod.UID)
	return nameFiles{hosts: filepath.Join(dir, "etc-hosts"), resolv: filepath.Join(dir, "resolv.conf")}, err
}

// writeNameFiles writes /etc/hosts and /etc/resolv.conf of the pod.
func (m *Manager) writeNameFiles(pod *corev1.Pod, ips []string) error {
	files, err := m.nameFiles(pod)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(files.hosts), 0o750); err != nil {
		return fmt.Errorf("making the pod's directory: %w", err)
	}
	hostHosts := ""
	if pod.Spec.HostNetwork {
		data, err := os.ReadFile(m.config.HostsFile)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("reading the host's hosts file: %w", err)
		}
		hostHosts = string(data)
	}
	hosts := dns.HostsFile(pod, ips, m.config.DNS.Domain, hostHosts)
	if err := os.WriteFile(files.hosts, []byte(hosts), 0o644); err != nil {
		return fmt.Errorf("writing the pod's hosts file: %w", err)
	}
	hostResolv, err := os.ReadFile(m.config.ResolvConf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the host's resolv.conf: %w", err)
	}
	resolv, problems := dns.ForPod(pod, dns.Parse(string(hostResolv)), m.config.DNS)
	for _, problem := range problems {
		m.config.Recorder.Event(pod, corev1.EventTypeWarning, problem.Reason, problem.Message)
	}
	if err := os.WriteFile(files.resolv, []byte(resolv.String()), 0o644); err != nil {
		return fmt.Errorf("writing the pod's resolv.conf: %w", err)
	}
	return nil
}
