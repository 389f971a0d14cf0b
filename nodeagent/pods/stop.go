package pods

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// stop brings the pod to its end: containers, then sidecars from the last to the
// first, then the sandbox.
func (p *planner) stop() {
	var sidecars []*runtime.Container
	running := false
	for i := range p.in.Observed.Containers {
		c := &p.in.Observed.Containers[i]
		if c.State != runtime.StateRunning && c.State != runtime.StateUnknown {
			continue
		}
		spec := p.spec(c)
		if c.Kind == runtime.KindInit && spec != nil && pod.IsSidecar(spec) {
			sidecars = append(sidecars, c)
			continue
		}
		running = true
		p.kill(c, spec, fmt.Sprintf("Stopping container %s", c.Name), false)
	}
	if running {
		return
	}
	if len(sidecars) > 0 {
		last := slices.MaxFunc(sidecars, func(a, b *runtime.Container) int { return p.position(a) - p.position(b) })
		p.kill(last, p.spec(last), fmt.Sprintf("Stopping container %s", last.Name), false)
		return
	}
	if len(p.in.Busy) > 0 {
		return // a start that is being called off
	}
	for i := range p.in.Observed.Sandboxes {
		if s := &p.in.Observed.Sandboxes[i]; s.State == runtime.StateRunning && !slices.Contains(p.plan.StopSandboxes, s.ID) {
			p.plan.StopSandboxes = append(p.plan.StopSandboxes, s.ID)
		}
	}
	p.plan.Over = len(p.plan.StopSandboxes) == 0
}

func (p *planner) position(c *runtime.Container) int {
	return slices.IndexFunc(p.in.Pod.Spec.InitContainers, func(spec corev1.Container) bool { return spec.Name == c.Name })
}

// keepRuns is how many runs of a container are kept: the present or last one, and the one before for logs --previous.
const keepRuns = 2

// collectGarbage finds what is dead and of no more use.
func (p *planner) collectGarbage() {
	seen := map[string]int{}
	for i := range p.in.Observed.Containers {
		c := &p.in.Observed.Containers[i]
		key := string(c.Kind) + "/" + c.Name
		seen[key]++
		dead := c.State == runtime.StateExited || c.State == runtime.StateCreated
		if seen[key] > keepRuns && dead && !p.in.Busy[c.Name] {
			p.plan.Remove = append(p.plan.Remove, c.ID)
		}
	}
	if p.in.Busy[sandboxKey] {
		return
	}
	for i := range p.in.Observed.Sandboxes {
		s := &p.in.Observed.Sandboxes[i]
		switch {
		case i == 0:
		case s.State == runtime.StateRunning:
			p.plan.StopSandboxes = append(p.plan.StopSandboxes, s.ID)
		default:
			p.plan.RemoveSandboxes = append(p.plan.RemoveSandboxes, s.ID)
		}
	}
}

// SpecHash changes when a container must be restarted because its spec has
// changed: of all that may be changed in a running pod, only the image needs that.
func SpecHash(spec *corev1.Container) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s\x00%s", spec.Name, spec.Image)
	return strconv.FormatUint(hash.Sum64(), 16)
}
