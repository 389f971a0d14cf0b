package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skiff-project/skiff/cluster/allinone"
	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/process"
)

// Status is what `skiff status` knows.
type Status struct {
	Process *process.Info // nil: not running
	Usage   process.Usage
	// Problems are sentences about what is wrong; empty if all is well.
	Problems []string
	Nodes    []corev1.Node
	Pods     map[corev1.PodPhase]int
}

// statusTimeout bounds each question to the API server.
const statusTimeout = 5 * time.Second

// ReadStatus asks the process table and the API server.
func ReadStatus(ctx context.Context, dir layout.DataDir) (Status, error) {
	info, err := process.Running(dir.Lock())
	if err != nil || info == nil {
		return Status{}, err
	}
	status := Status{Process: info}
	if status.Usage, err = process.UsageOf(info.PID); errors.Is(err, os.ErrNotExist) {
		return Status{}, nil // it has ended since
	} else if err != nil {
		return Status{}, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", dir.AdminKubeconfig())
	if err != nil { // a finding, too: it is still starting, or somebody damaged the file
		status.Problems = append(status.Problems, fmt.Sprintf("reading the administrator's kubeconfig: %v", err))
		return status, nil
	}
	config.Timeout = statusTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Status{}, fmt.Errorf("building a client: %w", err)
	}
	status.askServer(ctx, client)
	return status, nil
}

// askServer fills in what the API server says. A server that does not answer is
// a finding, not a failure.
func (s *Status) askServer(ctx context.Context, client kubernetes.Interface) {
	body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(ctx)
	if err != nil {
		s.Problems = append(s.Problems, failedChecks(string(body), err)...)
		if len(body) == 0 {
			return
		}
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("listing nodes: %v", err))
		return
	}
	s.Nodes = nodes.Items
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("listing pods: %v", err))
		return
	}
	s.Pods = map[corev1.PodPhase]int{}
	for i := range pods.Items {
		s.Pods[pods.Items[i].Status.Phase]++
	}
	s.Problems = append(s.Problems, nodeProblems(s.Nodes)...)
	s.Problems = append(s.Problems, podProblems(pods.Items)...)
}

// failedChecks names the health checks that /readyz?verbose marks as failed.
func failedChecks(verbose string, err error) []string {
	var failed []string
	for line := range strings.Lines(verbose) {
		if rest, found := strings.CutPrefix(line, "[-]"); found {
			failed = append(failed, "API server check failed: "+strings.TrimSpace(rest))
		}
	}
	if len(failed) == 0 {
		failed = append(failed, fmt.Sprintf("the API server does not answer: %v (see: skiff logs apiserver)", err))
	}
	return failed
}

func nodeProblems(nodes []corev1.Node) []string {
	if len(nodes) == 0 {
		return []string{"no node has registered (see: skiff logs nodeagent)"}
	}
	var problems []string
	for _, node := range nodes {
		for _, condition := range node.Status.Conditions {
			wanted := corev1.ConditionFalse // pressures
			if condition.Type == corev1.NodeReady {
				wanted = corev1.ConditionTrue
			}
			if condition.Status != wanted {
				problems = append(problems, fmt.Sprintf("node %s: %s is %s: %s", node.Name, condition.Type, condition.Status, condition.Message))
			}
		}
	}
	return problems
}

func podProblems(pods []corev1.Pod) []string {
	var problems []string
	for _, pod := range pods {
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			waiting := container.State.Waiting
			if waiting == nil || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
				continue
			}
			problems = append(problems, fmt.Sprintf("pod %s/%s: container %s waits: %s", pod.Namespace, pod.Name, container.Name, waiting.Reason))
		}
	}
	return problems
}

// Print writes the status as a person reads it.
func (s Status) Print(out io.Writer, now time.Time) {
	if s.Process == nil {
		fmt.Fprintln(out, "skiff does not run. Start it with: skiff up")
		return
	}
	since := now.Sub(s.Process.StartedAt)
	fmt.Fprintf(out, "skiff %s runs since %s (%s), process %d\n", s.Process.Version,
		s.Process.StartedAt.Local().Format(time.DateTime), duration.HumanDuration(since), s.Process.PID)
	fmt.Fprintf(out, "  parts    etcd, %s\n", strings.Join(allinone.Components, ", "))
	fmt.Fprintf(out, "  server   %s\n", s.Process.Server)
	fmt.Fprintf(out, "  memory   %d MiB RSS\n", s.Usage.RSS>>20)
	fmt.Fprintf(out, "  cpu      %.1f%% of a core on average, %.1fs in all\n", 100*s.Usage.CPU.Seconds()/max(since.Seconds(), 1), s.Usage.CPU.Seconds())
	for _, node := range s.Nodes {
		fmt.Fprintf(out, "  node     %s, %s, %s\n", node.Name, node.Status.NodeInfo.KubeletVersion, node.Status.NodeInfo.ContainerRuntimeVersion)
	}
	if s.Pods != nil {
		fmt.Fprintf(out, "  pods     %d running, %d pending, %d failed\n", s.Pods[corev1.PodRunning], s.Pods[corev1.PodPending], s.Pods[corev1.PodFailed])
	}
	if len(s.Problems) == 0 {
		fmt.Fprintln(out, "  all is well")
	}
	for _, problem := range s.Problems {
		fmt.Fprintf(out, "  PROBLEM  %s\n", problem)
	}
}
