package server

import (
	"k8s.io/apiserver/pkg/admission"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
)

// registerAdmission registers the plugins of this project.
func registerAdmission(*admission.Plugins) {}

// admissionOrder is the order in which plugins run: mutating ones first, and
// within each kind as listed.
func admissionOrder() []string {
	return append([]string{lifecycle.PluginName}, projectAdmission()...)
}

// admissionOnByDefault lists the plugins that run unless they are disabled.
func admissionOnByDefault() []string { return admissionOrder() }

func projectAdmission() []string { return nil }

func admissionDecorators() admission.Decorators {
	return admission.Decorators{admission.DecoratorFunc(admissionmetrics.WithControllerMetrics)}
}
