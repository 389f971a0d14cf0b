package docker

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubelettypes "k8s.io/kubelet/pkg/types"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// The labels of containers. Those under io.kubernetes are what kubelets wrote
// and what tools that read `docker ps` know.
const (
	labelPodName      = kubelettypes.KubernetesPodNameLabel
	labelPodNamespace = kubelettypes.KubernetesPodNamespaceLabel
	labelPodUID       = kubelettypes.KubernetesPodUIDLabel
	labelName         = kubelettypes.KubernetesContainerNameLabel
	labelType         = "io.kubernetes.docker.type"
	labelSandboxID    = "io.kubernetes.sandbox.id"
	labelAttempt      = "io.kubernetes.container.restartCount"
	labelHash         = "io.kubernetes.container.hash"
	labelTermPath     = "io.kubernetes.container.terminationMessagePath"
	labelTermPolicy   = "io.kubernetes.container.terminationMessagePolicy"
	labelGrace        = "io.kubernetes.pod.terminationGracePeriod"

	labelNode     = "io.skiff.node"
	labelKind     = "io.skiff.container.kind"
	labelImage    = "io.skiff.container.image"
	labelImageRef = "io.skiff.container.imageRef"
)

const (
	typeSandbox   = "podsandbox"
	typeContainer = "container"
	// sandboxName is the container name of sandboxes in names and labels.
	sandboxName = "POD"
)

// containerName returns Docker's name of a container:
// k8s_<container>_<pod>_<namespace>_<uid>_<attempt>.
func containerName(name string, pod runtime.PodRef, attempt int) string {
	return strings.Join([]string{"k8s", name, pod.Name, pod.Namespace, pod.UID, strconv.Itoa(attempt)}, "_")
}

func podLabels(node string, pod runtime.PodRef, extra map[string]string) map[string]string {
	labels := maps.Clone(extra)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelNode] = node
	labels[labelPodName] = pod.Name
	labels[labelPodNamespace] = pod.Namespace
	labels[labelPodUID] = pod.UID
	return labels
}

func sandboxLabels(node string, c *runtime.SandboxConfig) map[string]string {
	labels := podLabels(node, c.Pod, c.Labels)
	labels[labelType] = typeSandbox
	labels[labelName] = sandboxName
	labels[labelAttempt] = strconv.Itoa(c.Attempt)
	return labels
}

func containerLabels(node string, c *runtime.ContainerConfig) map[string]string {
	labels := podLabels(node, c.Pod, c.Labels)
	labels[labelType] = typeContainer
	labels[labelName] = c.Name
	labels[labelAttempt] = strconv.Itoa(c.Attempt)
	labels[labelKind] = string(c.Kind)
	labels[labelSandboxID] = c.SandboxID
	labels[labelImage] = c.Image
	labels[labelImageRef] = c.ImageRef
	labels[labelHash] = c.SpecHash
	labels[labelTermPath] = c.TerminationMessagePath
	labels[labelTermPolicy] = string(c.TerminationMessagePolicy)
	if c.GracePeriodSeconds != nil {
		labels[labelGrace] = strconv.FormatInt(*c.GracePeriodSeconds, 10)
	}
	return labels
}

func podOf(labels map[string]string) runtime.PodRef {
	return runtime.PodRef{UID: labels[labelPodUID], Namespace: labels[labelPodNamespace], Name: labels[labelPodName]}
}

// fromLabels fills what only the labels know.
func fromLabels(c *runtime.Container, labels map[string]string) error {
	attempt, err := strconv.Atoi(labels[labelAttempt])
	if err != nil {
		return fmt.Errorf("label %s: %w", labelAttempt, err)
	}
	c.Pod = podOf(labels)
	c.Name = labels[labelName]
	c.Attempt = attempt
	c.Kind = runtime.Kind(labels[labelKind])
	c.SandboxID = labels[labelSandboxID]
	c.Image = labels[labelImage]
	c.ImageRef = labels[labelImageRef]
	c.SpecHash = labels[labelHash]
	c.TerminationMessagePath = labels[labelTermPath]
	c.TerminationMessagePolicy = corev1.TerminationMessagePolicy(labels[labelTermPolicy])
	if text, ok := labels[labelGrace]; ok {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("label %s: %w", labelGrace, err)
		}
		c.GracePeriodSeconds = &seconds
	}
	c.Labels = extraLabels(labels)
	return nil
}

// extraLabels returns the labels that the caller of Create has given.
func extraLabels(labels map[string]string) map[string]string {
	extra := maps.Clone(labels)
	maps.DeleteFunc(extra, func(key, _ string) bool {
		return strings.HasPrefix(key, "io.kubernetes.") || strings.HasPrefix(key, "io.skiff.")
	})
	return extra
}
