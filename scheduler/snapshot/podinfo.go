package snapshot

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	fwk "k8s.io/kube-scheduler/framework"
)

// PodInfo is a pod with what plugins would otherwise compute again and again.
type PodInfo struct {
	pod                *corev1.Pod
	requested, nonZero *Amounts

	requiredAffinity, requiredAntiAffinity   []fwk.AffinityTerm
	preferredAffinity, preferredAntiAffinity []fwk.WeightedAffinityTerm
}

var _ fwk.PodInfo = &PodInfo{}

// NewPodInfo computes a pod's sums and affinity terms. It fails if a selector of
// the pod cannot be parsed.
func NewPodInfo(pod *corev1.Pod) (*PodInfo, error) {
	p := &PodInfo{pod: pod}
	p.requested, p.nonZero = RequestsOf(pod)
	affinity := pod.Spec.Affinity
	if affinity == nil {
		return p, nil
	}
	var err error
	if p.requiredAffinity, err = fwk.GetAffinityTerms(pod, fwk.GetPodAffinityTerms(affinity)); err != nil {
		return nil, fmt.Errorf("parsing the required pod affinity: %w", err)
	}
	if p.requiredAntiAffinity, err = fwk.GetAffinityTerms(pod, fwk.GetPodAntiAffinityTerms(affinity)); err != nil {
		return nil, fmt.Errorf("parsing the required pod anti-affinity: %w", err)
	}
	if affinity.PodAffinity != nil {
		if p.preferredAffinity, err = fwk.GetWeightedAffinityTerms(pod, affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution); err != nil {
			return nil, fmt.Errorf("parsing the preferred pod affinity: %w", err)
		}
	}
	if affinity.PodAntiAffinity != nil {
		if p.preferredAntiAffinity, err = fwk.GetWeightedAffinityTerms(pod, affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution); err != nil {
			return nil, fmt.Errorf("parsing the preferred pod anti-affinity: %w", err)
		}
	}
	return p, nil
}

// GetPod and its siblings implement framework.PodInfo.
func (p *PodInfo) GetPod() *corev1.Pod                              { return p.pod }
func (p *PodInfo) GetRequiredAffinityTerms() []fwk.AffinityTerm     { return p.requiredAffinity }
func (p *PodInfo) GetRequiredAntiAffinityTerms() []fwk.AffinityTerm { return p.requiredAntiAffinity }
func (p *PodInfo) GetPreferredAffinityTerms() []fwk.WeightedAffinityTerm {
	return p.preferredAffinity
}
func (p *PodInfo) GetPreferredAntiAffinityTerms() []fwk.WeightedAffinityTerm {
	return p.preferredAntiAffinity
}

// CalculateResource returns the sums that were computed once.
func (p *PodInfo) CalculateResource() fwk.PodResource {
	return fwk.PodResource{Resource: p.requested, Non0CPU: p.nonZero.MilliCPU, Non0Mem: p.nonZero.Memory}
}

func milli(n int64) resource.Quantity { return *resource.NewMilliQuantity(n, resource.DecimalSI) }
func bytes(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }
