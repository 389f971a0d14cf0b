package core

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skiff-project/skiff/apis/resource"
)

func replicationControllerResource() resource.Resource {
	return resource.Define[corev1.ReplicationController, corev1.ReplicationControllerList](resource.Definition[corev1.ReplicationController]{
		Names: resource.Names{
			Kind:         corev1.SchemeGroupVersion.WithKind("ReplicationController"),
			Plural:       "replicationcontrollers",
			ShortNames:   []string{"rc"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
			KeyPrefix:    "controllers",
			// Clients older than the garbage collector expect the pods to stay.
			DefaultGC: metav1.DeletePropagationOrphan,
		},
		PrepareForCreate: func(_ context.Context, rc *corev1.ReplicationController) {
			if rc.Spec.Template != nil {
				setServiceAccountAlias(&rc.Spec.Template.Spec)
			}
		},
		Validate:             ValidateReplicationController,
		ValidateUpdate:       ValidateReplicationControllerUpdate,
		ValidateStatusUpdate: ValidateReplicationControllerStatusUpdate,
		Warnings: func(_ context.Context, rc, old *corev1.ReplicationController) []string {
			if rc.Spec.Template == nil {
				return nil
			}
			var oldTemplate *corev1.PodTemplateSpec
			if old != nil {
				oldTemplate = old.Spec.Template
			}
			return WarningsForPodTemplate(rc.Spec.Template, oldTemplate, templatePath)
		},
		Columns: replicationControllerColumns(),
		Fields: []resource.TypedField[corev1.ReplicationController]{
			{Path: "status.replicas", Value: func(rc *corev1.ReplicationController) string {
				return strconv.Itoa(int(rc.Status.Replicas))
			}},
		},
	})
}

func replicationControllerColumns() []resource.TypedColumn[corev1.ReplicationController] {
	spec, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	return []resource.TypedColumn[corev1.ReplicationController]{
		nameColumn[corev1.ReplicationController](),
		number("Desired", spec["replicas"], func(rc *corev1.ReplicationController) any {
			if rc.Spec.Replicas == nil {
				return int64(0)
			}
			return int64(*rc.Spec.Replicas)
		}),
		number("Current", status["replicas"], func(rc *corev1.ReplicationController) any { return int64(rc.Status.Replicas) }),
		number("Ready", status["readyReplicas"], func(rc *corev1.ReplicationController) any {
			return int64(rc.Status.ReadyReplicas)
		}),
		ageColumn[corev1.ReplicationController](),
		wide(text("Containers", "Names of each container in the template.", func(rc *corev1.ReplicationController) any {
			names, _ := templateContainers(rc.Spec.Template)
			return names
		})),
		wide(text("Images", "Images referenced by each container in the template.", func(rc *corev1.ReplicationController) any {
			_, images := templateContainers(rc.Spec.Template)
			return images
		})),
		wide(text("Selector", spec["selector"], func(rc *corev1.ReplicationController) any {
			return labels.FormatLabels(rc.Spec.Selector)
		})),
	}
}

// templateContainers returns the names and the images of a template's containers.
func templateContainers(template *corev1.PodTemplateSpec) (names, images string) {
	if template == nil {
		return "", ""
	}
	for i, c := range template.Spec.Containers {
		if i > 0 {
			names, images = names+",", images+","
		}
		names, images = names+c.Name, images+c.Image
	}
	return names, images
}
