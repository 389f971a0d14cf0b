package logs

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/fake"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

func TestParseOptions(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	tests := []struct {
		query string
		want  corev1.PodLogOptions
		err   string
	}{
		{"", corev1.PodLogOptions{}, ""},
		{"follow=true&previous=true&timestamps=true", corev1.PodLogOptions{Follow: true, Previous: true, Timestamps: true}, ""},
		{"tailLines=0&limitBytes=5", corev1.PodLogOptions{TailLines: ptr.To[int64](0), LimitBytes: ptr.To[int64](5)}, ""},
		{"tailLines=all", corev1.PodLogOptions{}, ""},
		{"sinceSeconds=60", corev1.PodLogOptions{SinceSeconds: ptr.To[int64](60)}, ""},
		{"sinceTime=2026-01-02T03:04:05Z", corev1.PodLogOptions{SinceTime: &since}, ""},
		{"stream=Stderr", corev1.PodLogOptions{Stream: ptr.To("Stderr")}, ""},
		{"tailLines=-1", corev1.PodLogOptions{}, "tailLines: Invalid value: -1: must be greater than or equal to 0"},
		{"limitBytes=0", corev1.PodLogOptions{}, "limitBytes: Invalid value: 0: must be greater than 0"},
		{"follow=perhaps", corev1.PodLogOptions{}, `follow: Invalid value: "perhaps": must be true or false`},
		{"sinceTime=yesterday", corev1.PodLogOptions{}, `sinceTime: Invalid value: "yesterday": must be a time in RFC 3339`},
		{"stream=Other", corev1.PodLogOptions{}, `stream: Unsupported value: "Other": supported values: "All", "Stdout", "Stderr"`},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			values, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			got, errs := ParseOptions(values)
			if tt.err != "" {
				if len(errs) != 1 || errs[0].Error() != tt.err {
					t.Errorf("got %v, want %s", errs, tt.err)
				}
				return
			}
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseOptions(f *testing.F) {
	f.Add("follow=true&tailLines=10&sinceTime=2026-01-02T03:04:05Z")
	f.Add("limitBytes=-5&stream=Stdout&sinceSeconds=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		options, errs := ParseOptions(values)
		if len(errs) == 0 {
			if options.LimitBytes != nil && *options.LimitBytes < 1 {
				t.Errorf("%q is taken for the limit %d", query, *options.LimitBytes)
			}
			RuntimeOptions(options, time.Unix(0, 0))
		}
	})
}

func TestContainer(t *testing.T) {
	terminated := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	tests := []struct {
		name     string
		status   *corev1.ContainerStatus
		previous bool
		want     string
		err      string
	}{
		{"running", &corev1.ContainerStatus{State: running, ContainerID: "docker://a"}, false, "a", ""},
		{"ended", &corev1.ContainerStatus{State: terminated("docker://a"), ContainerID: "docker://a"}, false, "a", ""},
		{"crash loop", &corev1.ContainerStatus{State: waiting("CrashLoopBackOff"), LastTerminationState: terminated("docker://a")}, false, "a", ""},
		{"previous", &corev1.ContainerStatus{State: running, ContainerID: "docker://b", LastTerminationState: terminated("docker://a")}, true, "a", ""},
		{"no previous", &corev1.ContainerStatus{State: running, ContainerID: "docker://b"}, true, "", `previous terminated container "app" in pod "pod" not found`},
		{"ended before it was made", &corev1.ContainerStatus{State: terminated(""), LastTerminationState: terminated("docker://a")}, false, "a", ""},
		{"ended without a trace", &corev1.ContainerStatus{State: terminated("")}, false, "", `container "app" in pod "pod" is terminated`},
		{"creating", &corev1.ContainerStatus{State: waiting("ContainerCreating")}, false, "", `container "app" in pod "pod" is waiting to start: ContainerCreating`},
		{"bad image", &corev1.ContainerStatus{State: waiting("ErrImagePull")}, false, "", `container "app" in pod "pod" is waiting to start: image can't be pulled`},
		{"bad image, later", &corev1.ContainerStatus{State: waiting("ImagePullBackOff")}, false, "", `container "app" in pod "pod" is waiting to start: trying and failing to pull image`},
		{"no status", nil, false, "", `container "app" in pod "pod" is not available`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
			if tt.status != nil {
				tt.status.Name = "app"
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{*tt.status}
			}
			got, err := Container(pod, "app", tt.previous)
			if got != tt.want || (err == nil) != (tt.err == "") || (err != nil && err.Error() != tt.err) {
				t.Errorf("got %q, %v; want %q, %s", got, err, tt.want, tt.err)
			}
		})
	}
	if _, err := Container(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}, "x", false); err == nil || err.Error() != `container "x" not found in pod "pod"` {
		t.Errorf("an unknown container: %v", err)
	}
}

func TestCopy(t *testing.T) {
	engine := fake.New(clock.RealClock{})
	image := engine.AddImage("docker.io/test/app:1")
	pod := runtimetest.NewPod(t, runtimetest.Env{Runtime: engine, Image: image, Program: "/app"})
	ended, _ := pod.RunToEnd(pod.Config("app", "both", "out", "err"))
	for stream, want := range map[string]string{"": "out\nerr\n", "All": "out\nerr\n", "Stdout": "out\n", "Stderr": "err\n"} {
		options := &corev1.PodLogOptions{}
		if stream != "" {
			options.Stream = &stream
		}
		var out bytes.Buffer
		if err := Copy(t.Context(), engine, ended.ID, options, time.Now(), &out); err != nil || out.String() != want {
			t.Errorf("stream %q: got %q, %v; want %q", stream, out.String(), err, want)
		}
	}
	now := time.Unix(1000, 0)
	if got := RuntimeOptions(&corev1.PodLogOptions{SinceSeconds: ptr.To[int64](10)}, now); got != (runtime.LogOptions{Since: time.Unix(990, 0)}) {
		t.Errorf("sinceSeconds: %+v", got)
	}
}
