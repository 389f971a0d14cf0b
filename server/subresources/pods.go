package subresources

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/server/registry"
)

func getPod(ctx context.Context, store *registry.Store, name string) (*corev1.Pod, error) {
	obj, err := store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	return pod, nil
}

// pickContainer returns the container that a request means: the one it names, or
// the only one of the pod.
func pickContainer(pod *corev1.Pod, name string) (string, error) {
	if name != "" {
		for _, c := range podhelper.Containers(&pod.Spec) {
			if c.Name == name {
				return name, nil
			}
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	switch len(pod.Spec.Containers) {
	case 1:
		return pod.Spec.Containers[0].Name, nil
	case 0:
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s", pod.Name))
	}
	message := fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", pod.Name, names(pod.Spec.Containers))
	if len(pod.Spec.InitContainers) > 0 {
		message += fmt.Sprintf(" or one of the init containers: [%s]", names(pod.Spec.InitContainers))
	}
	return "", apierrors.NewBadRequest(message)
}

func names(containers []corev1.Container) string {
	var out []string
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

// onNode returns the location of path at the agent of the pod's node.
func (n *Nodes) onNode(ctx context.Context, pod *corev1.Pod, query url.Values, path ...string) (target, error) {
	if pod.Spec.NodeName == "" {
		return target{}, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	to, err := n.agent(ctx, pod.Spec.NodeName)
	if err != nil {
		return target{}, err
	}
	to.url.Path = "/" + strings.Join(path, "/")
	to.url.RawQuery = query.Encode()
	return to, nil
}
