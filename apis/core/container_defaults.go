package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func setDefaultsContainer(c *corev1.Container) {
	defaulting.Value(&c.ImagePullPolicy, defaultPullPolicy(c.Image))
	defaulting.Value(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	defaulting.Value(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		defaulting.Value(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			defaulting.Value(&from.FieldRef.APIVersion, "v1")
		}
		if from := c.Env[i].ValueFrom; from != nil && from.FileKeyRef != nil {
			defaulting.Pointer(&from.FileKeyRef.Optional, false)
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
	defaulting.Value(&p.TimeoutSeconds, 1)
	defaulting.Value(&p.PeriodSeconds, 10)
	defaulting.Value(&p.SuccessThreshold, 1)
	defaulting.Value(&p.FailureThreshold, 3)
	setDefaultsHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		defaulting.Pointer(&p.GRPC.Service, "")
	}
}

func setDefaultsHTTPGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	defaulting.Value(&get.Path, "/")
	defaulting.Value(&get.Scheme, corev1.URISchemeHTTP)
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
