// Package prioritysort orders waiting pods by priority, and those of one priority
// by the time since which they have waited.
package prioritysort

import fwk "k8s.io/kube-scheduler/framework"

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "PrioritySort"

// Plugin implements the order.
type Plugin struct{}

var _ fwk.QueueSortPlugin = Plugin{}

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Less implements framework.QueueSortPlugin.
func (Plugin) Less(a, b fwk.QueuedEntityInfo) bool {
	if a.GetPriority() != b.GetPriority() {
		return a.GetPriority() > b.GetPriority()
	}
	return a.GetTimestamp().Before(b.GetTimestamp())
}
