package noderesources

import (
	"context"
	"math"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// BalancedName is the balance plugin's name in KubeSchedulerConfiguration.
const BalancedName = "NodeResourcesBalancedAllocation"

// usage is how much of a resource a node would have in use with the pod on it.
type usage struct{ used, total int64 }

func usages(state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (cpu, memory usage) {
	wanted := requestsOf(state, pod).nonZero
	inUse, allocatable := node.GetNonZeroRequested(), node.GetAllocatable()
	return usage{inUse.GetMilliCPU() + wanted.MilliCPU, allocatable.GetMilliCPU()},
		usage{inUse.GetMemory() + wanted.Memory, allocatable.GetMemory()}
}

// Score implements framework.ScorePlugin: the more is left, the better.
func (Fit) Score(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	cpu, memory := usages(state, pod, node)
	return LeastAllocated(cpu, memory), nil
}

// ScoreExtensions implements framework.ScorePlugin.
func (Fit) ScoreExtensions() fwk.ScoreExtensions { return nil }

// LeastAllocated is the mean share of the resources that stays free, 0..100. A
// resource that the node does not have does not count.
func LeastAllocated(usages ...usage) int64 {
	var sum, counted int64
	for _, u := range usages {
		if u.total <= 0 {
			continue
		}
		counted++
		if u.used <= u.total {
			sum += (u.total - u.used) * fwk.MaxScore / u.total
		}
	}
	if counted == 0 {
		return 0
	}
	return sum / counted
}

// Balanced scores how evenly the resources of a node are used.
type Balanced struct{}

var _ fwk.ScorePlugin = Balanced{}

// Name returns the plugin's name.
func (Balanced) Name() string { return BalancedName }

// ScoreExtensions implements framework.ScorePlugin.
func (Balanced) ScoreExtensions() fwk.ScoreExtensions { return nil }

// Score implements framework.ScorePlugin.
func (Balanced) Score(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	cpu, memory := usages(state, pod, node)
	return Evenness(cpu, memory), nil
}

// Evenness is 100 if all resources are used to the same share, and falls with the
// standard deviation of the shares.
func Evenness(usages ...usage) int64 {
	var shares []float64
	var sum float64
	for _, u := range usages {
		if u.total <= 0 {
			continue
		}
		share := min(float64(u.used)/float64(u.total), 1)
		shares = append(shares, share)
		sum += share
	}
	if len(shares) == 0 {
		return 0
	}
	mean, variance := sum/float64(len(shares)), 0.0
	for _, share := range shares {
		variance += (share - mean) * (share - mean)
	}
	return int64((1 - math.Sqrt(variance/float64(len(shares)))) * float64(fwk.MaxScore))
}
