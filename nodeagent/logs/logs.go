// Package logs serves `kubectl logs`: it reads what is asked for, finds the
// container whose log that is, and copies the log out of the runtime.
package logs

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// ParseOptions reads the query of the kubelet's containerLogs path, which has the fields of PodLogOptions.
func ParseOptions(query url.Values) (*corev1.PodLogOptions, field.ErrorList) {
	options := &corev1.PodLogOptions{}
	var errs field.ErrorList
	boolean := func(name string, target *bool) {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				errs = append(errs, field.Invalid(field.NewPath(name), text, "must be true or false"))
			}
			*target = value
		}
	}
	number := func(name string, least int64, message string) *int64 {
		text := query.Get(name)
		if text == "" {
			return nil
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			errs = append(errs, field.Invalid(field.NewPath(name), text, "must be an integer"))
			return nil
		}
		if value < least {
			errs = append(errs, field.Invalid(field.NewPath(name), value, message))
		}
		return &value
	}
	boolean("follow", &options.Follow)
	boolean("previous", &options.Previous)
	boolean("timestamps", &options.Timestamps)
	if query.Get("tailLines") != "all" { // an old way to say "no limit"
		options.TailLines = number("tailLines", 0, "must be greater than or equal to 0")
	}
	options.LimitBytes = number("limitBytes", 1, "must be greater than 0")
	options.SinceSeconds = number("sinceSeconds", 1, "must be greater than 0")
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			errs = append(errs, field.Invalid(field.NewPath("sinceTime"), text, "must be a time in RFC 3339"))
		}
		t := metav1.NewTime(since)
		options.SinceTime = &t
	}
	if options.SinceSeconds != nil && options.SinceTime != nil {
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	}
	if stream := query.Get("stream"); stream != "" {
		options.Stream = &stream
		switch {
		case stream != corev1.LogStreamAll && stream != corev1.LogStreamStdout && stream != corev1.LogStreamStderr:
			errs = append(errs, field.NotSupported(field.NewPath("stream"), stream,
				[]string{corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr}))
		case stream != corev1.LogStreamAll && options.TailLines != nil:
			errs = append(errs, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
		}
	}
	return options, errs
}

// Container returns the ID (without the runtime's scheme) of the container
// whose log is meant, out of the pod's status: the running or else the last
// one, or with previous the one before that. The error is what the user sees.
func Container(pod *corev1.Pod, name string, previous bool) (string, error) {
	status := statusOf(pod, name)
	if status == nil {
		if !inSpec(pod, name) {
			return "", fmt.Errorf("container %q not found in pod %q", name, pod.Name)
		}
		return "", fmt.Errorf("container %q in pod %q is not available", name, pod.Name)
	}
	last := status.LastTerminationState.Terminated
	var id string
	switch {
	case previous:
		if last == nil || last.ContainerID == "" {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
		}
		id = last.ContainerID
	case status.State.Running != nil:
		id = status.ContainerID
	case status.State.Terminated != nil:
		id = status.State.Terminated.ContainerID
		if id == "" && last != nil { // its successor was never made
			id = last.ContainerID
		}
		if id == "" {
			return "", fmt.Errorf("container %q in pod %q is terminated", name, pod.Name)
		}
	case last != nil:
		id = last.ContainerID
		if id == "" {
			return "", fmt.Errorf("container %q in pod %q is terminated", name, pod.Name)
		}
	case status.State.Waiting != nil:
		return "", fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod.Name, waitingText(status.State.Waiting.Reason))
	default:
		return "", fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", name, pod.Name)
	}
	if _, after, found := strings.Cut(id, "://"); found {
		id = after
	}
	return id, nil
}

// waitingText says it in words where kube does.
func waitingText(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	default:
		return reason
	}
}

func statusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == name {
				return &statuses[i]
			}
		}
	}
	return nil
}

func inSpec(pod *corev1.Pod, name string) bool {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == name {
				return true
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// RuntimeOptions translates options at the time now.
func RuntimeOptions(options *corev1.PodLogOptions, now time.Time) runtime.LogOptions {
	result := runtime.LogOptions{
		Follow:     options.Follow,
		Timestamps: options.Timestamps,
		Tail:       options.TailLines,
		LimitBytes: options.LimitBytes,
	}
	if options.SinceSeconds != nil {
		result.Since = now.Add(-time.Duration(*options.SinceSeconds) * time.Second)
	} else if options.SinceTime != nil {
		result.Since = options.SinceTime.Time
	}
	return result
}

// Copy copies a container's log to out, which gets both streams unless the options name one.
func Copy(ctx context.Context, logs runtime.Logs, containerID string, options *corev1.PodLogOptions, now time.Time, out io.Writer) error {
	var stdout, stderr io.Writer = out, out
	if options.Stream != nil {
		switch *options.Stream {
		case corev1.LogStreamStdout:
			stderr = nil
		case corev1.LogStreamStderr:
			stdout = nil
		}
	}
	return logs.ReadLogs(ctx, containerID, RuntimeOptions(options, now), stdout, stderr)
}
