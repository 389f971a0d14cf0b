package queue

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Pod is a waiting pod and its history.
type Pod struct {
	Pod *corev1.Pod

	timestamp time.Time // since when it waits in this round
	initial   *time.Time
	attempts  int
	// tries counts the rejections in a row that earn a back-off, errors those by
	// mishaps.
	tries, errors int
	backoffUntil  time.Time
	rejectedBy    sets.Set[string]
	gate          string
	// poppedAt is the position in the event log when the pod was popped.
	poppedAt int
}

var _ fwk.QueuedEntityInfo = &Pod{}

// Type and its siblings implement framework.QueuedEntityInfo.
func (p *Pod) Type() fwk.EntityKeyType                   { return fwk.PodKeyType }
func (p *Pod) GetPriority() int32                        { return corev1helpers.PodPriority(p.Pod) }
func (p *Pod) GetTimestamp() time.Time                   { return p.timestamp }
func (p *Pod) GetAttempts() int                          { return p.attempts }
func (p *Pod) GetBackoffExpiration() time.Time           { return p.backoffUntil }
func (p *Pod) GetUnschedulableCount() int                { return p.tries }
func (p *Pod) GetConsecutiveErrorsCount() int            { return p.errors }
func (p *Pod) GetInitialAttemptTimestamp() *time.Time    { return p.initial }
func (p *Pod) GetUnschedulablePlugins() sets.Set[string] { return p.rejectedBy }
func (p *Pod) GetPendingPlugins() sets.Set[string]       { return nil }
func (p *Pod) GetGatingPlugin() string                   { return p.gate }
func (p *Pod) GetGatingPluginEvents() []fwk.ClusterEvent { return nil }

// backoff is how long a pod waits after its nth failure in a row: it doubles from
// initial to most.
func backoff(n int, initial, most time.Duration) time.Duration {
	wait := initial
	for range n - 1 {
		if wait >= most/2 {
			return most
		}
		wait *= 2
	}
	return min(wait, most)
}
