package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/logs"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// splitCommand lets `cmd` hold several words, as it always could.
func splitCommand(values []string) []string {
	if len(values) > 1 {
		return values
	}
	return strings.Fields(values[0])
}

// containerLogs serves `kubectl logs`.
func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	options, errs := logs.ParseOptions(r.URL.Query())
	if len(errs) > 0 {
		http.Error(w, errs.ToAggregate().Error(), http.StatusUnprocessableEntity)
		return
	}
	name := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}
	pod, ok := s.config.Pods.Pod(name)
	if !ok {
		http.Error(w, fmt.Sprintf("pod %q does not exist", name.Name), http.StatusNotFound)
		return
	}
	id, err := logs.Container(pod, r.PathValue("container"), options.Previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	out := &logOutput{to: w, controller: http.NewResponseController(w), follow: options.Follow}
	err = logs.Copy(r.Context(), s.config.Runtime, id, options, s.config.Clock.Now(), out)
	switch {
	case err == nil:
		out.flush() // a log without a line is an answer too
	case r.Context().Err() != nil:
	case !out.started && runtime.IsNotFound(err):
		http.Error(w, fmt.Sprintf("unable to retrieve container logs for docker://%s", id), http.StatusBadRequest)
	case !out.started:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		// Too late for a status: the client must see that the answer is cut.
		klog.FromContext(r.Context()).Info("Copying a log failed", "pod", klog.KObj(pod), "err", err)
		panic(http.ErrAbortHandler)
	}
}

// logOutput sends each piece of a log that is followed at once.
type logOutput struct {
	to         io.Writer
	controller *http.ResponseController
	follow     bool
	started    bool
}

func (o *logOutput) Write(data []byte) (int, error) {
	o.started = true
	n, err := o.to.Write(data)
	if err == nil && o.follow {
		err = o.controller.Flush()
	}
	return n, err
}

func (o *logOutput) flush() { _ = o.controller.Flush() }

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{}}
	for _, pod := range s.config.Pods.Pods() {
		list.Items = append(list.Items, *pod)
	}
	writeJSON(w, list)
}

// runningPods lists what the runtime runs, whether or not the API knows of it.
func (s *Server) runningPods(w http.ResponseWriter, r *http.Request) {
	observed, err := s.config.Runtime.ListPods(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{}}
	for i := range observed {
		if pod, running := runningPod(&observed[i]); running {
			list.Items = append(list.Items, pod)
		}
	}
	writeJSON(w, list)
}

func runningPod(observed *runtime.Pod) (corev1.Pod, bool) {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: observed.Name, Namespace: observed.Namespace, UID: types.UID(observed.UID)}}
	for i := range observed.Containers {
		if c := &observed.Containers[i]; c.State == runtime.StateRunning {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.Name, Image: c.Image})
		}
	}
	slices.SortFunc(pod.Spec.Containers, func(a, b corev1.Container) int { return strings.Compare(a.Name, b.Name) })
	sandbox := observed.Sandbox()
	return pod, len(pod.Spec.Containers) > 0 || (sandbox != nil && sandbox.State == runtime.StateRunning)
}

func (s *Server) statsSummary(w http.ResponseWriter, r *http.Request) {
	summary, err := s.config.Stats.Summary(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.URL.Query().Get("only_cpu_and_memory") == "true" {
		only := *summary
		only.Node.Network, only.Node.Fs, only.Node.Runtime = nil, nil, nil
		only.Pods = slices.Clone(only.Pods)
		for i := range only.Pods {
			only.Pods[i].Network, only.Pods[i].EphemeralStorage, only.Pods[i].VolumeStats = nil, nil, nil
		}
		summary = &only
	}
	writeJSON(w, summary)
}

func (s *Server) configz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"kubeletconfig": s.config.Configz()})
}

func writeJSON(w http.ResponseWriter, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

func (s *Server) checks() []healthz.HealthChecker {
	return append([]healthz.HealthChecker{healthz.PingHealthz}, s.config.HealthChecks...)
}

// healthz answers "ok" if all checks pass, else with a line for each.
func (s *Server) healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var lines strings.Builder
		failed := false
		for _, check := range s.checks() {
			if err := check.Check(r); err != nil {
				failed = true
				fmt.Fprintf(&lines, "[-]%s failed: %v\n", check.Name(), err)
				continue
			}
			fmt.Fprintf(&lines, "[+]%s ok\n", check.Name())
		}
		_, verbose := r.URL.Query()["verbose"]
		switch {
		case failed:
			http.Error(w, lines.String()+"healthz check failed", http.StatusInternalServerError)
		case verbose:
			fmt.Fprint(w, lines.String()+"healthz check passed\n")
		default:
			fmt.Fprint(w, "ok")
		}
	})
}

func (s *Server) oneHealthCheck(w http.ResponseWriter, r *http.Request) {
	for _, check := range s.checks() {
		if check.Name() != r.PathValue("check") {
			continue
		}
		if err := check.Check(r); err != nil {
			http.Error(w, fmt.Sprintf("internal server error: %v", err), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
		return
	}
	http.NotFound(w, r)
}
