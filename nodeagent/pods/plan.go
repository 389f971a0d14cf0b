package pods

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// sandboxKey is the name under which the sandbox is busy.
const sandboxKey = ""

// Input is everything that a plan depends on.
type Input struct {
	// Pod is what is wanted; nil if the API does not have it any more.
	Pod      *corev1.Pod
	Observed runtime.Pod
	// Stop means that the pod must end.
	Stop bool
	// Busy are the containers, by name, for which something is under way; sandboxKey is the sandbox.
	Busy map[string]bool
	// SandboxLost means that the sandbox runs but is not usable: it has no network.
	SandboxLost bool
	// Ready means that containers can be started: volumes and network are there.
	Ready bool
	// Started reports whether a running container's startup probe has succeeded.
	Started func(spec *corev1.Container, c *runtime.Container) bool
	// Unhealthy returns why a running container must be replaced; "" if it need not.
	Unhealthy func(spec *corev1.Container, c *runtime.Container) string
	// Wait returns how long a container must not be started yet; last is its latest run, nil if there was none.
	Wait func(spec *corev1.Container, last *runtime.Container) time.Duration
}

// Plan is what to do now. What it does not name stays as it is.
type Plan struct {
	CreateSandbox  bool
	SandboxAttempt int
	Start          []Start
	Kill           []Kill
	// Waiting are containers that are to be started later.
	Waiting []Waiting
	// StopSandboxes are taken out of the network and stopped.
	StopSandboxes []string
	// Remove and RemoveSandboxes are dead and of no more use.
	Remove, RemoveSandboxes []string
	// Ended means that by the restart policy nothing is to be run any more: the pod is to be stopped.
	Ended bool
	// Over means that nothing runs any more; only with Stop or Ended.
	Over bool
}

// Start is a container to be started.
type Start struct {
	Spec    *corev1.Container
	Kind    runtime.Kind
	Attempt int
}

// Waiting is a container in backoff.
type Waiting struct {
	Spec  *corev1.Container
	Delay time.Duration
}

// Kill is a container to be stopped. Message is the event's text.
type Kill struct {
	ID, Name string
	Spec     *corev1.Container // nil if the spec is not known
	Message  string
	// Unhealthy means that a probe wants it: the probe's own grace period counts.
	Unhealthy bool
}

// Compute returns what to do now.
func Compute(in Input) Plan {
	p := planner{in: in}
	p.collectGarbage()
	switch {
	case in.Pod == nil || in.Stop:
		p.stop()
	case p.finished():
		p.plan.Ended = true
		p.stop()
	default:
		p.run()
	}
	return p.plan
}

type planner struct {
	in   Input
	plan Plan
}

// latest returns the newest run of a container, in the given sandbox if it is not "".
func (p *planner) latest(name string, kind runtime.Kind, sandboxID string) *runtime.Container {
	for i := range p.in.Observed.Containers {
		c := &p.in.Observed.Containers[i]
		if c.Name == name && c.Kind == kind && (sandboxID == "" || c.SandboxID == sandboxID) {
			return c
		}
	}
	return nil
}

// finished reports whether the restart policy wants nothing more of this pod.
func (p *planner) finished() bool {
	spec := &p.in.Pod.Spec
	if spec.RestartPolicy == corev1.RestartPolicyNever && p.sandboxDied() {
		return true
	}
	begun := false
	for i := range spec.Containers {
		begun = begun || p.latest(spec.Containers[i].Name, runtime.KindRegular, "") != nil
	}
	if !begun {
		for i := range spec.InitContainers {
			c := &spec.InitContainers[i]
			if code, ended := p.exitCode(c, runtime.KindInit); ended && code != 0 && !pod.IsSidecar(c) && !p.restarts(c, code) {
				return true
			}
		}
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if code, ended := p.exitCode(c, runtime.KindRegular); !ended || p.restarts(c, code) || p.in.Busy[c.Name] {
			return false
		}
	}
	return true
}

// sandboxDied reports whether there was a sandbox with containers and it is no more.
func (p *planner) sandboxDied() bool {
	sandbox := p.in.Observed.Sandbox()
	return sandbox != nil && sandbox.State != runtime.StateRunning && len(p.in.Observed.Containers) > 0 && !p.in.Busy[sandboxKey]
}

// exitCode returns how a container has ended, from the engine or, where that has lost it, from the last status.
func (p *planner) exitCode(spec *corev1.Container, kind runtime.Kind) (code int, ended bool) {
	if c := p.latest(spec.Name, kind, ""); c != nil {
		return c.ExitCode, c.State == runtime.StateExited
	}
	statuses := p.in.Pod.Status.ContainerStatuses
	if kind == runtime.KindInit {
		statuses = p.in.Pod.Status.InitContainerStatuses
	}
	if s := pod.ContainerStatus(statuses, spec.Name); s != nil && s.State.Terminated != nil {
		return int(s.State.Terminated.ExitCode), true
	}
	return 0, false
}

// restarts reports whether a container that ended with code is to be started again.
func (p *planner) restarts(spec *corev1.Container, code int) bool {
	for _, rule := range spec.RestartPolicyRules {
		if rule.ExitCodes == nil || rule.Action != corev1.ContainerRestartRuleActionRestart {
			continue
		}
		in := false
		for _, value := range rule.ExitCodes.Values {
			in = in || int(value) == code
		}
		if in == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	policy := p.in.Pod.Spec.RestartPolicy
	if spec.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*spec.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	default:
		return true
	}
}

// run brings the pod towards running.
func (p *planner) run() {
	sandbox := p.in.Observed.Sandbox()
	if p.in.Busy[sandboxKey] {
		return
	}
	if sandbox == nil || sandbox.State != runtime.StateRunning || p.in.SandboxLost {
		p.replaceSandbox(sandbox)
		return
	}
	p.killStrangers(sandbox.ID)
	if !p.in.Ready {
		return
	}
	p.ephemeral(sandbox.ID)
	if !p.initContainers(sandbox.ID) {
		return
	}
	for i := range p.in.Pod.Spec.Containers {
		p.container(&p.in.Pod.Spec.Containers[i], runtime.KindRegular, sandbox.ID)
	}
}

// replaceSandbox ends what is left of the old sandbox, then asks for a new one.
func (p *planner) replaceSandbox(old *runtime.Sandbox) {
	const message = "Pod sandbox changed, it will be killed and re-created."
	left := false
	for i := range p.in.Observed.Containers {
		if c := &p.in.Observed.Containers[i]; c.State == runtime.StateRunning {
			left = true
			p.kill(c, p.spec(c), message, false)
		}
	}
	if left {
		return
	}
	if old != nil && old.State == runtime.StateRunning {
		p.plan.StopSandboxes = append(p.plan.StopSandboxes, old.ID)
		return
	}
	p.plan.CreateSandbox = true
	if old != nil {
		p.plan.SandboxAttempt = old.Attempt + 1
	}
}

// killStrangers ends containers of older sandboxes.
func (p *planner) killStrangers(sandboxID string) {
	for i := range p.in.Observed.Containers {
		if c := &p.in.Observed.Containers[i]; c.State == runtime.StateRunning && c.SandboxID != sandboxID {
			p.kill(c, p.spec(c), "Pod sandbox changed, it will be killed and re-created.", false)
		}
	}
}

// initContainers plans the init containers, one after the other, and reports
// whether the regular ones may be started.
func (p *planner) initContainers(sandboxID string) bool {
	specs := p.in.Pod.Spec.InitContainers
	begun := false
	for i := range p.in.Pod.Spec.Containers {
		begun = begun || p.latest(p.in.Pod.Spec.Containers[i].Name, runtime.KindRegular, sandboxID) != nil || p.in.Busy[p.in.Pod.Spec.Containers[i].Name]
	}
	for i := range specs {
		spec := &specs[i]
		sidecar := pod.IsSidecar(spec)
		if begun && !sidecar {
			continue // done, even if it has been removed since
		}
		c := p.latest(spec.Name, runtime.KindInit, sandboxID)
		if !sidecar && c != nil && c.State == runtime.StateExited && c.ExitCode == 0 {
			continue
		}
		p.container(spec, runtime.KindInit, sandboxID)
		if begun {
			continue
		}
		if !sidecar || c == nil || c.State != runtime.StateRunning || p.in.Busy[spec.Name] || !p.started(spec, c) {
			return false
		}
	}
	return true
}

func (p *planner) started(spec *corev1.Container, c *runtime.Container) bool {
	return p.in.Started == nil || p.in.Started(spec, c)
}

// ephemeral starts each ephemeral container once.
func (p *planner) ephemeral(sandboxID string) {
	for i := range p.in.Pod.Spec.EphemeralContainers {
		spec := (*corev1.Container)(&p.in.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		c := p.latest(spec.Name, runtime.KindEphemeral, "")
		if !p.in.Busy[spec.Name] && (c == nil || c.State == runtime.StateCreated) {
			p.start(spec, runtime.KindEphemeral, nil)
		}
	}
}

// container plans one container whose turn it is.
func (p *planner) container(spec *corev1.Container, kind runtime.Kind, sandboxID string) {
	if p.in.Busy[spec.Name] {
		return
	}
	c := p.latest(spec.Name, kind, sandboxID)
	last := p.latest(spec.Name, kind, "")
	switch {
	case c == nil && last != nil && kind == runtime.KindRegular && last.State == runtime.StateExited && !p.restarts(spec, last.ExitCode):
		// Done in an older sandbox.
	case c == nil && last == nil && kind == runtime.KindRegular && p.doneBefore(spec):
	case c == nil || c.State == runtime.StateCreated:
		p.start(spec, kind, last)
	case c.State == runtime.StateRunning:
		p.check(spec, kind, c)
	case c.State == runtime.StateExited:
		if kind == runtime.KindInit || p.restarts(spec, c.ExitCode) {
			p.start(spec, kind, last)
		}
	default:
		p.kill(c, spec, fmt.Sprintf("Container %s is in unknown state, try killing it before restart", spec.Name), false)
	}
}

// doneBefore reports whether the last status says that the container has ended
// for good, and the engine has lost it.
func (p *planner) doneBefore(spec *corev1.Container) bool {
	code, ended := p.exitCode(spec, runtime.KindRegular)
	return ended && !p.restarts(spec, code)
}

// check looks whether a running container may go on.
func (p *planner) check(spec *corev1.Container, kind runtime.Kind, c *runtime.Container) {
	if kind == runtime.KindRegular && c.SpecHash != "" && c.SpecHash != SpecHash(spec) {
		p.kill(c, spec, fmt.Sprintf("Container %s definition changed, will be restarted", spec.Name), false)
		return
	}
	if p.in.Unhealthy == nil || kind == runtime.KindInit && !pod.IsSidecar(spec) {
		return
	}
	if message := p.in.Unhealthy(spec, c); message != "" {
		// Killed, it counts as failed.
		if kind == runtime.KindInit || p.restarts(spec, killedExitCode) {
			message += ", will be restarted"
		}
		p.kill(c, spec, message, true)
	}
}

// killedExitCode is what a killed container ends with.
const killedExitCode = 137

func (p *planner) start(spec *corev1.Container, kind runtime.Kind, last *runtime.Container) {
	if p.in.Wait != nil {
		if delay := p.in.Wait(spec, last); delay > 0 {
			p.plan.Waiting = append(p.plan.Waiting, Waiting{Spec: spec, Delay: delay})
			return
		}
	}
	p.plan.Start = append(p.plan.Start, Start{Spec: spec, Kind: kind, Attempt: p.nextAttempt(spec, kind)})
}

// nextAttempt counts on from the newest container, or from the last status where the engine has lost it.
func (p *planner) nextAttempt(spec *corev1.Container, kind runtime.Kind) int {
	if last := p.latest(spec.Name, kind, ""); last != nil {
		if last.State == runtime.StateCreated {
			return last.Attempt // it has never run
		}
		return last.Attempt + 1
	}
	statuses := p.in.Pod.Status.ContainerStatuses
	if kind == runtime.KindInit {
		statuses = p.in.Pod.Status.InitContainerStatuses
	}
	if s := pod.ContainerStatus(statuses, spec.Name); s != nil && s.ContainerID != "" {
		return int(s.RestartCount) + 1
	}
	return 0
}

func (p *planner) kill(c *runtime.Container, spec *corev1.Container, message string, unhealthy bool) {
	if p.in.Busy[c.Name] {
		return
	}
	p.plan.Kill = append(p.plan.Kill, Kill{ID: c.ID, Name: c.Name, Spec: spec, Message: message, Unhealthy: unhealthy})
}

// spec returns the spec of a container, nil if the pod has none of that name (any more).
func (p *planner) spec(c *runtime.Container) *corev1.Container {
	if p.in.Pod == nil {
		return nil
	}
	for _, spec := range pod.Containers(&p.in.Pod.Spec) {
		if spec.Name == c.Name {
			return spec
		}
	}
	return nil
}
