package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
)

// Amounts is a set of resources in the scheduler's units: millicores, bytes,
// counts.
type Amounts struct {
	MilliCPU, Memory, EphemeralStorage int64
	Pods                               int
	Scalar                             map[corev1.ResourceName]int64
}

var _ fwk.Resource = &Amounts{}

// GetMilliCPU and its siblings implement framework.Resource.
func (a *Amounts) GetMilliCPU() int64                                { return a.MilliCPU }
func (a *Amounts) GetMemory() int64                                  { return a.Memory }
func (a *Amounts) GetEphemeralStorage() int64                        { return a.EphemeralStorage }
func (a *Amounts) GetAllowedPodNumber() int                          { return a.Pods }
func (a *Amounts) GetScalarResources() map[corev1.ResourceName]int64 { return a.Scalar }

// AmountsOf converts a resource list.
func AmountsOf(list corev1.ResourceList) *Amounts {
	a := &Amounts{}
	for name, quantity := range list {
		switch name {
		case corev1.ResourceCPU:
			a.MilliCPU = quantity.MilliValue()
		case corev1.ResourceMemory:
			a.Memory = quantity.Value()
		case corev1.ResourceEphemeralStorage:
			a.EphemeralStorage = quantity.Value()
		case corev1.ResourcePods:
			a.Pods = int(quantity.Value())
		default:
			a.setScalar(name, quantity.Value())
		}
	}
	return a
}

// SetMaxResource raises each amount to that of the list.
func (a *Amounts) SetMaxResource(list corev1.ResourceList) {
	other := AmountsOf(list)
	a.MilliCPU = max(a.MilliCPU, other.MilliCPU)
	a.Memory = max(a.Memory, other.Memory)
	a.EphemeralStorage = max(a.EphemeralStorage, other.EphemeralStorage)
	a.Pods = max(a.Pods, other.Pods)
	for name, amount := range other.Scalar {
		a.setScalar(name, max(a.Scalar[name], amount))
	}
}

func (a *Amounts) setScalar(name corev1.ResourceName, amount int64) {
	if a.Scalar == nil {
		a.Scalar = map[corev1.ResourceName]int64{}
	}
	a.Scalar[name] = amount
}

// add counts other sign times (1 or -1). Scalars that come to zero are dropped,
// so that equal contents are equal maps.
func (a *Amounts) add(other *Amounts, sign int64) {
	a.MilliCPU += sign * other.MilliCPU
	a.Memory += sign * other.Memory
	a.EphemeralStorage += sign * other.EphemeralStorage
	for name, amount := range other.Scalar {
		if sum := a.Scalar[name] + sign*amount; sum != 0 {
			a.setScalar(name, sum)
		} else {
			delete(a.Scalar, name)
		}
	}
}

func (a *Amounts) clone() *Amounts {
	copied := *a
	copied.Scalar = nil
	for name, amount := range a.Scalar {
		copied.setScalar(name, amount)
	}
	return &copied
}

// What a container that requests nothing counts as when nodes are scored, so
// that such pods are spread, too. The numbers are kube's.
const (
	defaultMilliCPU = 100
	defaultMemory   = 200 << 20
)

// RequestsOf sums what a pod requests (init containers, sidecars, overhead and
// pod-level resources included), and the same with kube's defaults for
// containers that request no CPU or memory.
func RequestsOf(pod *corev1.Pod) (requested, nonZero *Amounts) {
	options := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	requested = AmountsOf(resourcehelper.PodRequests(pod, options))
	options.NonMissingContainerRequests = corev1.ResourceList{
		corev1.ResourceCPU:    milli(defaultMilliCPU),
		corev1.ResourceMemory: bytes(defaultMemory),
	}
	return requested, AmountsOf(resourcehelper.PodRequests(pod, options))
}
