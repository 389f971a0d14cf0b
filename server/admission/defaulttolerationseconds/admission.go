// Package defaulttolerationseconds lets pods stay for five minutes on a node that
// is not ready or cannot be reached, unless they say otherwise themselves.
package defaulttolerationseconds

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

// PluginName is the name in --enable-admission-plugins.
const PluginName = "DefaultTolerationSeconds"

// defaultSeconds is upstream's --default-not-ready-toleration-seconds and
// --default-unreachable-toleration-seconds.
const defaultSeconds = 300

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return New(defaultSeconds, defaultSeconds), nil
	})
}

// Plugin is the admission plugin.
type Plugin struct {
	*admission.Handler
	notReady, unreachable int64
}

var _ admission.MutationInterface = &Plugin{}

// New returns the plugin with the seconds of both tolerations.
func New(notReady, unreachable int64) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), notReady: notReady, unreachable: unreachable}
}

// Admit adds the tolerations that a pod lacks.
func (p *Plugin) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != corev1.Resource("pods") || a.GetSubresource() != "" {
		return nil
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return apierrors.NewBadRequest("Resource was marked with kind Pod but was unable to be converted")
	}
	pod.Spec.Tolerations = withDefault(pod.Spec.Tolerations, corev1.TaintNodeNotReady, p.notReady)
	pod.Spec.Tolerations = withDefault(pod.Spec.Tolerations, corev1.TaintNodeUnreachable, p.unreachable)
	return nil
}

// withDefault returns the tolerations, with one of the taint's NoExecute effect
// for so many seconds if there is none yet.
func withDefault(tolerations []corev1.Toleration, taint string, seconds int64) []corev1.Toleration {
	for _, t := range tolerations {
		if (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return tolerations
		}
	}
	return append(tolerations, corev1.Toleration{
		Key:               taint,
		Operator:          corev1.TolerationOpExists,
		Effect:            corev1.TaintEffectNoExecute,
		TolerationSeconds: ptr.To(seconds),
	})
}
