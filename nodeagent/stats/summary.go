// Package stats tells what the node and its pods use, as /stats/summary and
// /metrics/resource show it. The numbers are read from cgroup files and
// /proc when somebody asks; nothing runs in between.
package stats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Cgroups reads the use of cgroups; cgroups.Manager does.
type Cgroups interface {
	Usage(parent, containerID string) (cgroups.Usage, error)
	PodUsage(parent string) (cgroups.Usage, error)
	NodeUsage() (cgroups.Usage, error)
}

// Config is what a Provider needs.
type Config struct {
	NodeName string
	Pods     runtime.Pods
	Cgroups  Cgroups
	// RootDir is on the node's file system, ImageDir on that of the images (runtime.Info.RootDir).
	RootDir, ImageDir string
	// NodeMemory is the node's capacity in bytes.
	NodeMemory uint64
	Clock      clock.PassiveClock
}

// Provider makes summaries.
type Provider struct {
	config  Config
	started time.Time

	mu      sync.Mutex
	samples map[string]sample // by cgroup: what was read last
}

// sample is a CPU counter at a time; a rate needs two.
type sample struct {
	at    time.Time
	value uint64
	rate  *uint64
}

// shortestWindow is the least time over which a rate is worth something.
const shortestWindow = time.Second

// New returns a Provider.
func New(config Config) (*Provider, error) {
	for name, missing := range map[string]bool{
		"NodeName": config.NodeName == "",
		"Pods":     config.Pods == nil,
		"Cgroups":  config.Cgroups == nil,
		"RootDir":  config.RootDir == "",
		"Clock":    config.Clock == nil,
	} {
		if missing {
			return nil, fmt.Errorf("stats: %s is missing", name)
		}
	}
	return &Provider{config: config, started: config.Clock.Now(), samples: map[string]sample{}}, nil
}

// Summary reads everything once.
func (p *Provider) Summary(ctx context.Context) (*statsapi.Summary, error) {
	pods, err := p.config.Pods.ListPods(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing pods for their use: %w", err)
	}
	seen := map[string]bool{}
	summary := &statsapi.Summary{Node: p.node(ctx, seen), Pods: []statsapi.PodStats{}}
	for i := range pods {
		if pod, ok := p.pod(ctx, &pods[i], seen); ok {
			summary.Pods = append(summary.Pods, pod)
		}
	}
	p.forgetExcept(seen)
	return summary, nil
}

func (p *Provider) node(ctx context.Context, seen map[string]bool) statsapi.NodeStats {
	now := metav1.NewTime(p.config.Clock.Now())
	node := statsapi.NodeStats{
		NodeName:  p.config.NodeName,
		StartTime: metav1.NewTime(p.started),
		Network:   network("/proc/self/net/dev", now),
		Fs:        fileSystem(p.config.RootDir, now),
	}
	if p.config.ImageDir != "" {
		node.Runtime = &statsapi.RuntimeStats{ImageFs: fileSystem(p.config.ImageDir, now)}
	}
	usage, err := p.config.Cgroups.NodeUsage()
	if err != nil {
		klog.FromContext(ctx).Info("Cannot read what the node uses", "err", err)
		return node
	}
	node.CPU, node.Memory = p.cpu("", usage, now, seen), memory(usage, now)
	if p.config.NodeMemory > 0 {
		node.Memory.AvailableBytes = ptr.To(p.config.NodeMemory - min(p.config.NodeMemory, usage.WorkingSetBytes))
	}
	return node
}

func (p *Provider) pod(ctx context.Context, observed *runtime.Pod, seen map[string]bool) (statsapi.PodStats, bool) {
	sandbox := observed.Sandbox()
	if sandbox == nil || sandbox.State != runtime.StateRunning {
		return statsapi.PodStats{}, false
	}
	now := metav1.NewTime(p.config.Clock.Now())
	pod := statsapi.PodStats{
		PodRef:    statsapi.PodReference{Name: observed.Name, Namespace: observed.Namespace, UID: observed.UID},
		StartTime: metav1.NewTime(sandbox.CreatedAt),
	}
	if !sandbox.HostNetwork {
		pod.Network = network(fmt.Sprintf("/proc/%d/net/dev", sandbox.PID), now)
	}
	var parent string
	for i := range observed.Containers {
		c := &observed.Containers[i]
		if c.State != runtime.StateRunning {
			continue
		}
		parent = c.CgroupParent
		usage, err := p.config.Cgroups.Usage(c.CgroupParent, c.ID)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // else it has just ended
				klog.FromContext(ctx).Info("Cannot read what a container uses", "container", c.ID, "err", err)
			}
			continue
		}
		stats := statsapi.ContainerStats{
			Name: c.Name, StartTime: metav1.NewTime(c.StartedAt),
			CPU: p.cpu(c.ID, usage, now, seen), Memory: memory(usage, now),
		}
		if usage.MemoryLimitBytes > 0 {
			stats.Memory.AvailableBytes = ptr.To(usage.MemoryLimitBytes - min(usage.MemoryLimitBytes, usage.WorkingSetBytes))
		}
		pod.Containers = append(pod.Containers, stats)
	}
	if parent != "" {
		if usage, err := p.config.Cgroups.PodUsage(parent); err == nil {
			pod.CPU, pod.Memory = p.cpu(parent, usage, now, seen), memory(usage, now)
			pod.ProcessStats = &statsapi.ProcessStats{ProcessCount: ptr.To(usage.Processes)}
		}
	}
	return pod, true
}

// cpu adds the rate since the sample before.
func (p *Provider) cpu(key string, usage cgroups.Usage, now metav1.Time, seen map[string]bool) *statsapi.CPUStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen[key] = true
	last, known := p.samples[key]
	next := sample{at: now.Time, value: usage.CPUNanoseconds, rate: last.rate}
	switch elapsed := now.Sub(last.at); {
	case !known || usage.CPUNanoseconds < last.value:
		next.rate = nil
	case elapsed < shortestWindow:
		next = last // asked twice in a row: the window goes on
	default:
		next.rate = ptr.To(uint64(float64(usage.CPUNanoseconds-last.value) / elapsed.Seconds()))
	}
	p.samples[key] = next
	return &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: ptr.To(usage.CPUNanoseconds), UsageNanoCores: next.rate}
}

func (p *Provider) forgetExcept(seen map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.samples {
		if !seen[key] {
			delete(p.samples, key)
		}
	}
}

func memory(usage cgroups.Usage, now metav1.Time) *statsapi.MemoryStats {
	return &statsapi.MemoryStats{
		Time:            now,
		UsageBytes:      ptr.To(usage.MemoryBytes),
		WorkingSetBytes: ptr.To(usage.WorkingSetBytes),
		RSSBytes:        ptr.To(usage.RSSBytes),
		PageFaults:      ptr.To(usage.PageFaults),
		MajorPageFaults: ptr.To(usage.MajorPageFaults),
	}
}
