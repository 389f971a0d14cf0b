package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func deploymentResource() resource.Resource {
	return resource.Define[appsv1.Deployment, appsv1.DeploymentList](resource.Definition[appsv1.Deployment]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("Deployment"),
			Plural:       "deployments",
			ShortNames:   []string{"deploy"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
		PrepareForUpdate: func(_ context.Context, d, old *appsv1.Deployment) {
			// Annotations go down to the replica sets: changing them asks the
			// controller to act, like a change of the spec.
			if !equality.Semantic.DeepEqual(d.Annotations, old.Annotations) {
				d.Generation = old.Generation + 1
			}
		},
		PrepareForStatusUpdate: func(_ context.Context, d, old *appsv1.Deployment) {
			d.Labels = old.DeepCopy().Labels
		},
		Validate:             ValidateDeployment,
		ValidateUpdate:       ValidateDeploymentUpdate,
		ValidateStatusUpdate: ValidateDeploymentStatusUpdate,
		Warnings: func(_ context.Context, d, old *appsv1.Deployment) []string {
			if old == nil {
				return append(warnName(d.Name), warnTemplate(&d.Spec.Template, nil)...)
			}
			return warnTemplate(&d.Spec.Template, &old.Spec.Template)
		},
		Columns: deploymentColumns(),
	})
}

// SetDefaultsDeployment asks for one replica that is updated a quarter at a time.
func SetDefaultsDeployment(d *appsv1.Deployment) {
	core.SetDefaultsPodTemplateSpec(&d.Spec.Template)
	defaulting.Pointer(&d.Spec.Replicas, 1)
	strategy := &d.Spec.Strategy
	defaulting.Value(&strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		defaulting.Pointer(&strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		defaulting.Pointer(&strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		defaulting.Pointer(&strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaulting.Pointer(&d.Spec.RevisionHistoryLimit, 10)
	defaulting.Pointer(&d.Spec.ProgressDeadlineSeconds, 600)
}
