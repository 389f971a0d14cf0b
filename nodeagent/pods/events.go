package pods

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/status"
)

// event records an event about the pod.
func (w *worker) event(eventType, reason, format string, args ...any) {
	if w.pod != nil {
		w.m.config.Recorder.Eventf(w.pod, eventType, reason, format, args...)
	}
}

// containerEvent records an event about one of the pod's containers.
func (w *worker) containerEvent(spec *corev1.Container, eventType, reason, format string, args ...any) {
	containerEvent(w.m.config.Recorder, w.pod, spec.Name, eventType, reason, format, args...)
}

func containerEvent(recorder record.EventRecorder, pod *corev1.Pod, container, eventType, reason, format string, args ...any) {
	recorder.Eventf(ContainerRef(pod, container), eventType, reason, format, args...)
}

// ContainerRef refers to a container of a pod, as describe shows it: spec.containers{name}.
func ContainerRef(pod *corev1.Pod, container string) *corev1.ObjectReference {
	ref := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
	for list, c := range podhelper.Containers(&pod.Spec) {
		if c.Name == container {
			ref.FieldPath = fmt.Sprintf("spec.%s{%s}", list, container)
		}
	}
	return ref
}

func allContainers(pod *corev1.Pod) []*corev1.Container {
	var result []*corev1.Container
	for _, c := range podhelper.Containers(&pod.Spec) {
		result = append(result, c)
	}
	return result
}

func findContainer(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range podhelper.Containers(&pod.Spec) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func lower(text string) string { return strings.ToLower(text) }

// logTailTimeout limits how long the end of a log is waited for.
const logTailTimeout = 2 * time.Second

// terminationMessage returns an ended container's last words, read once.
func (w *worker) terminationMessage(c *runtime.Container) string {
	if c.State != runtime.StateExited {
		return ""
	}
	if text, ok := w.messages[c.ID]; ok {
		return text
	}
	text := status.TerminationMessage(c, func() string {
		ctx, cancel := context.WithTimeout(context.Background(), logTailTimeout)
		defer cancel()
		var out bytes.Buffer
		lines := int64(status.MessageLogLines)
		if err := w.m.config.Engine.ReadLogs(ctx, c.ID, runtime.LogOptions{Tail: &lines}, &out, &out); err != nil {
			return fmt.Sprintf("Error on reading termination message from logs: %v", err)
		}
		return out.String()
	})
	w.messages[c.ID] = text
	return text
}
