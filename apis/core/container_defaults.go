package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func setDefaultsContainer(c *corev1.Container) {
	orDefault(&c.ImagePullPolicy, defaultPullPolicy(c.Image))
	orDefault(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	orDefault(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		orDefault(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			orDefault(&from.FieldRef.APIVersion, "v1")
		}
		if from := c.Env[i].ValueFrom; from != nil && from.FileKeyRef != nil {
			orPointer(&from.FileKeyRef.Optional, false)
		}
	}
	roundUp(c.Resources.Limits)
	roundUp(c.Resources.Requests)
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		setDefaultsProbe(probe)
	}
	if c.Lifecycle != nil {
		for _, hook := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if hook != nil {
				setDefaultsHTTPGet(hook.HTTPGet)
			}
		}
	}
}

func setDefaultsProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	orDefault(&p.TimeoutSeconds, 1)
	orDefault(&p.PeriodSeconds, 10)
	orDefault(&p.SuccessThreshold, 1)
	orDefault(&p.FailureThreshold, 3)
	setDefaultsHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		orPointer(&p.GRPC.Service, "")
	}
}

func setDefaultsHTTPGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	orDefault(&get.Path, "/")
	orDefault(&get.Scheme, corev1.URISchemeHTTP)
}

// defaultPullPolicy returns Always for an image that is not pinned: one without
// tag and digest, or with the tag latest.
func defaultPullPolicy(image string) corev1.PullPolicy {
	reference, digest, _ := strings.Cut(image, "@")
	name := reference[strings.LastIndex(reference, "/")+1:] // a colon before that is a registry's port
	_, tag, _ := strings.Cut(name, ":")
	if tag == "latest" || tag == "" && digest == "" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}
