package framework

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// FitError says why no node can take a pod.
type FitError struct {
	Pod      *corev1.Pod
	NumNodes int
	// Statuses holds the reason of each node that was filtered out.
	Statuses map[string]*fwk.Status
	// PreFilter is set if a pre-filter rejected the pod on all nodes at once.
	PreFilter *fwk.Status
	// PostFilter is what preemption had to say, if it was asked.
	PostFilter string

	cutBy []string // plugins that left nodes out before the filters
}

// Plugins returns the names of those that rejected the pod; events that they
// registered can help it.
func (e *FitError) Plugins() sets.Set[string] {
	names := sets.New(e.cutBy...)
	add := func(status *fwk.Status) {
		if name := status.Plugin(); name != "" {
			names.Insert(name)
		}
	}
	if e.PreFilter != nil {
		add(e.PreFilter)
	}
	for _, status := range e.Statuses {
		add(status)
	}
	return names
}

// Error is the sentence of FailedScheduling events and PodScheduled conditions:
// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
func (e *FitError) Error() string {
	head := fmt.Sprintf("0/%d nodes are available", e.NumNodes)
	var detail string
	if e.PreFilter != nil {
		detail = e.PreFilter.Message()
	} else {
		detail = strings.Join(e.counts(), ", ")
	}
	text := head + "."
	if detail != "" {
		text = head + ": " + detail + "."
	} else if e.NumNodes == 0 {
		text = "no nodes available to schedule pods"
	}
	if e.PostFilter != "" {
		text += " " + e.PostFilter
	}
	return text
}

// counts lists each reason with the number of nodes that gave it, sorted.
func (e *FitError) counts() []string {
	numbers := map[string]int{}
	for _, status := range e.Statuses {
		for _, reason := range status.Reasons() {
			numbers[reason]++
		}
	}
	lines := make([]string, 0, len(numbers))
	for reason, n := range numbers {
		lines = append(lines, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(lines)
	return lines
}
