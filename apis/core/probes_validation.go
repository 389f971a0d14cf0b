package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// handler is what probes and lifecycle hooks have in common; each of the two
// lacks one of the last fields.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func (r containerRules) checkProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	errs := r.checkProbe(c.LivenessProbe, path.Child("livenessProbe"))
	errs = append(errs, checkSingleSuccess(c.LivenessProbe, path.Child("livenessProbe"))...)
	errs = append(errs, r.checkProbe(c.ReadinessProbe, path.Child("readinessProbe"))...)
	if p := c.ReadinessProbe; p != nil && p.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(path.Child("readinessProbe", "terminationGracePeriodSeconds"),
			p.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
	}
	errs = append(errs, r.checkProbe(c.StartupProbe, path.Child("startupProbe"))...)
	return append(errs, checkSingleSuccess(c.StartupProbe, path.Child("startupProbe"))...)
}

// checkSingleSuccess checks that one success suffices, as it must for probes whose
// failure restarts the container.
func checkSingleSuccess(p *corev1.Probe, path *field.Path) field.ErrorList {
	if p == nil || p.SuccessThreshold == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1")}
}

func (r containerRules) checkProbe(p *corev1.Probe, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := r.checkHandler(handler{exec: p.Exec, http: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}, path)
	errs = append(errs, nonNegative(path, map[string]int64{
		"initialDelaySeconds": int64(p.InitialDelaySeconds),
		"timeoutSeconds":      int64(p.TimeoutSeconds),
		"periodSeconds":       int64(p.PeriodSeconds),
		"successThreshold":    int64(p.SuccessThreshold),
		"failureThreshold":    int64(p.FailureThreshold),
	})...)
	if s := p.TerminationGracePeriodSeconds; s != nil && *s <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *s, "must be greater than 0"))
	}
	return errs
}

func (r containerRules) checkLifecycle(l *corev1.Lifecycle, path *field.Path) field.ErrorList {
	if l == nil {
		return nil
	}
	var errs field.ErrorList
	check := func(h *corev1.LifecycleHandler, path *field.Path) {
		if h != nil {
			errs = append(errs, r.checkHandler(handler{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}, path)...)
		}
	}
	check(l.PostStart, path.Child("postStart"))
	check(l.PreStop, path.Child("preStop"))
	if l.StopSignal != nil {
		errs = append(errs, r.checkStopSignal(*l.StopSignal, path.Child("stopSignal"))...)
	}
	return errs
}

// checkStopSignal checks a signal of the container's own (KEP-4960); the pod has to
// name its operating system, since signals differ.
func (r containerRules) checkStopSignal(signal corev1.Signal, path *field.Path) field.ErrorList {
	if r.spec.OS == nil || r.spec.OS.Name == "" {
		return field.ErrorList{field.Forbidden(path, "may not be set for containers with empty `spec.os.name`")}
	}
	if r.spec.OS.Name == corev1.Windows {
		return rules.Enum(signal, path, corev1.SIGTERM, corev1.SIGKILL)
	}
	if !linuxSignals.Has(signal) {
		return field.ErrorList{field.NotSupported(path, signal, sortedSignals())}
	}
	return nil
}

func (r containerRules) checkHandler(h handler, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	found := 0
	try := func(name string, set bool, check func(path *field.Path) field.ErrorList) {
		if !set {
			return
		}
		if found++; found > 1 {
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
			return
		}
		errs = append(errs, check(path.Child(name))...)
	}
	try("exec", h.exec != nil, func(path *field.Path) field.ErrorList {
		if len(h.exec.Command) == 0 {
			return field.ErrorList{field.Required(path.Child("command"), "")}
		}
		return nil
	})
	try("httpGet", h.http != nil, func(path *field.Path) field.ErrorList { return checkHTTPGet(h.http, path) })
	try("tcpSocket", h.tcp != nil, func(path *field.Path) field.ErrorList {
		return checkPortOrName(h.tcp.Port, path.Child("port"))
	})
	try("grpc", h.grpc != nil, func(path *field.Path) field.ErrorList { return checkPort(h.grpc.Port, path.Child("port")) })
	try("sleep", h.sleep != nil, func(path *field.Path) field.ErrorList { return r.checkSleep(h.sleep, path) })
	if found == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func checkHTTPGet(get *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	errs := checkRequired(get.Path, path.Child("path"))
	errs = append(errs, checkPortOrName(get.Port, path.Child("port"))...)
	errs = append(errs, rules.Enum(get.Scheme, path.Child("scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range get.HTTPHeaders {
		errs = append(errs, rules.Invalid(path.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name)...)...)
	}
	return errs
}

func (r containerRules) checkSleep(sleep *corev1.SleepAction, path *field.Path) field.ErrorList {
	grace := r.spec.TerminationGracePeriodSeconds
	if grace != nil && (sleep.Seconds < 0 || sleep.Seconds > *grace) {
		return field.ErrorList{field.Invalid(path, sleep.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))}
	}
	return nil
}
