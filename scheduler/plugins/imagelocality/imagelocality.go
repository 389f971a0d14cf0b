// Package imagelocality prefers nodes that already have a pod's images.
package imagelocality

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "ImageLocality"

// Below minimum an image is pulled in no time; above maximum (for each container)
// more size makes no more difference. The numbers are kube's.
const (
	minimum = 23 << 20
	maximum = 1000 << 20
)

// Plugin implements the score.
type Plugin struct{}

var _ fwk.ScorePlugin = Plugin{}

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// ScoreExtensions implements framework.ScorePlugin.
func (Plugin) ScoreExtensions() fwk.ScoreExtensions { return nil }

// Score implements framework.ScorePlugin.
func (Plugin) Score(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	return ScoreOf(pod, node.GetImageStates()), nil
}

// ScoreOf maps the bytes of the pod's images that a node has to 0..100.
func ScoreOf(pod *corev1.Pod, images map[string]*fwk.ImageStateSummary) int64 {
	var present int64
	containers := pod.Spec.Containers
	for _, c := range append(containers[:len(containers):len(containers)], pod.Spec.InitContainers...) {
		if image := images[Normalized(c.Image)]; image != nil {
			present += image.Size
		}
	}
	most := int64(maximum) * int64(len(containers)+len(pod.Spec.InitContainers))
	present = min(max(present, minimum), most)
	return fwk.MaxScore * (present - minimum) / (most - minimum)
}

// Normalized adds the tag "latest" where an image has neither tag nor digest.
func Normalized(image string) string {
	if strings.LastIndexByte(image, ':') <= strings.LastIndexByte(image, '/') && !strings.Contains(image, "@") {
		return image + ":latest"
	}
	return image
}
