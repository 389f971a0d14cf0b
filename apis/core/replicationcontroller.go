package core

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/rules"
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
			return WarningsForPodTemplate(rc.Spec.Template, oldTemplate, rules.Template)
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
		columns.Name[corev1.ReplicationController](),
		columns.Number("Desired", spec["replicas"], func(rc *corev1.ReplicationController) int32 { return columns.Deref(rc.Spec.Replicas) }),
		columns.Number("Current", status["replicas"], func(rc *corev1.ReplicationController) int32 { return rc.Status.Replicas }),
		columns.Number("Ready", status["readyReplicas"], func(rc *corev1.ReplicationController) int32 { return rc.Status.ReadyReplicas }),
		columns.Age[corev1.ReplicationController](),
		columns.Wide(columns.Text("Containers", "Names of each container in the template.", func(rc *corev1.ReplicationController) string {
			names, _ := templateContainers(rc.Spec.Template)
			return names
		})),
		columns.Wide(columns.Text("Images", "Images referenced by each container in the template.", func(rc *corev1.ReplicationController) string {
			_, images := templateContainers(rc.Spec.Template)
			return images
		})),
		columns.Wide(columns.Text("Selector", spec["selector"], func(rc *corev1.ReplicationController) string {
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
