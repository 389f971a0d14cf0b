package server

import (
	genericadmission "k8s.io/apiserver/pkg/admission"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/skiff-project/skiff/server/admission"
)

// newAdmissionOptions knows the generic plugin that works with the kinds that are
// served, and this project's own.
func newAdmissionOptions() *genericoptions.AdmissionOptions {
	plugins := genericadmission.NewPlugins()
	lifecycle.Register(plugins)
	admission.RegisterAll(plugins)
	return &genericoptions.AdmissionOptions{
		RecommendedPluginOrder: admission.Order(),
		DefaultOffPlugins:      admission.DefaultOff(),
		Plugins:                plugins,
		Decorators:             genericadmission.Decorators{genericadmission.DecoratorFunc(admissionmetrics.WithControllerMetrics)},
	}
}
