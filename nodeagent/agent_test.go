package nodeagent

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is an agent on the real engine with an API server of our own.
type world struct {
	*testenv.Env
	t         *testing.T
	namespace string
	node      string
	image     string
	root      string
	engine    *docker.Runtime
	config    Config
	stop      func()
}

// newWorld skips the test where there is no Docker Engine or no right to mount.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the node agent needs root")
	}
	run := uuid.NewString()[:8]
	w := &world{t: t, node: "node-" + run, image: "skiff-test/app:" + run, root: t.TempDir()}
	var err error
	if w.engine, err = docker.New(docker.Config{Host: os.Getenv("DOCKER_HOST"), Node: w.node}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.Info(t.Context()); err != nil {
		t.Skipf("no Docker Engine to test with: %v", err)
	}
	w.Env = testenv.Shared(t)
	w.namespace = w.Namespace(t)
	pause := "skiff-test/pause:" + run
	w.buildImages(pause)
	w.prepareNamespace()
	w.config = w.newConfig(pause)
	w.startAgent()
	t.Cleanup(w.end)
	return w
}

func (w *world) buildImages(pause string) {
	dir := w.t.TempDir()
	for output, source := range map[string]string{"app": "./runtime/docker/testdata/app", "pause": "../cmd/skiff-pause"} {
		command := exec.Command("go", "build", "-o", filepath.Join(dir, output), source)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := command.CombinedOutput(); err != nil {
			w.t.Fatalf("building %s: %v: %s", source, err, text)
		}
	}
	w.t.Cleanup(func() {
		for _, ref := range []string{w.image, pause} {
			if err := w.engine.RemoveImage(context.Background(), ref); err != nil {
				w.t.Error(err)
			}
		}
	})
	if err := images.EnsurePause(w.t.Context(), w.engine, pause, filepath.Join(dir, "pause")); err != nil {
		w.t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "app"))
	if err != nil {
		w.t.Fatal(err)
	}
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	if err := writer.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(content))}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := writer.Write(content); err != nil {
		w.t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.engine.ImportImage(w.t.Context(), w.image, &archive, []string{`ENTRYPOINT ["/app"]`}); err != nil {
		w.t.Fatal(err)
	}
}

// prepareNamespace makes what controllers make elsewhere.
func (w *world) prepareNamespace() {
	ctx := w.t.Context()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := w.Client.CoreV1().ServiceAccounts(w.namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
	ca := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "the CA"}}
	if _, err := w.Client.CoreV1().ConfigMaps(w.namespace).Create(ctx, ca, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
}

func (w *world) newConfig(pause string) Config {
	dir := w.t.TempDir()
	certificate, key, err := certutil.GenerateSelfSignedCertKey(w.node, []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	files := map[string][]byte{"tls.crt": certificate, "tls.key": key}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	return Config{
		RESTConfig: w.ConfigFor("system:node:"+w.node, "system:nodes"), NodeName: w.node, NodeIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		DockerHost: os.Getenv("DOCKER_HOST"), PauseImage: pause, RootDir: w.root,
		CNIConfDir: filepath.Join(dir, "net.d"), CNIBinDirs: []string{dir}, CNICacheDir: filepath.Join(dir, "cache"),
		Address: "127.0.0.1", Port: port,
		TLSCertFile: filepath.Join(dir, "tls.crt"), TLSKeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "tls.crt"),
	}
}

func (w *world) startAgent() {
	agent, err := New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	_, ctx := ktesting.NewTestContext(w.t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the agent ended with: %v", err)
		}
	}
}

// end deletes all pods and looks for what they leave behind.
func (w *world) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pods := w.Client.CoreV1().Pods(w.namespace)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}, metav1.ListOptions{}); err != nil {
		w.t.Error(err)
	}
	started := time.Now()
	w.eventually("all pods are gone", func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
	w.t.Logf("pods gone after %v", time.Since(started))
	w.eventually("no container is left", func(ctx context.Context) (bool, error) {
		left, err := w.engine.ListPods(ctx)
		return len(left) == 0, err
	})
	stopping := time.Now()
	w.stop()
	w.t.Logf("the agent stopped within %v", time.Since(stopping))
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), w.root) {
		w.t.Errorf("mounts are left below %s (%v)", w.root, err)
	}
	if left, err := os.ReadDir(filepath.Join(w.root, "pods")); err != nil || len(left) > 0 {
		w.t.Errorf("directories of pods are left: %v, %v", left, err)
	}
	w.removeCgroups(ctx)
}

// removeCgroups takes away the cgroups of the classes, which an agent leaves for
// its next run.
func (w *world) removeCgroups(ctx context.Context) {
	info, err := w.engine.Info(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	manager, err := cgroups.NewManager(cgroups.Driver(info.CgroupDriver), info.CgroupVersion)
	if err != nil {
		w.t.Fatal(err)
	}
	// Tests of other packages run beside this one and have pods there too.
	others, err := manager.Pods()
	if err != nil {
		w.t.Fatal(err)
	}
	if len(others) > 0 {
		w.t.Logf("the cgroups of the classes stay: they hold pods %v", others)
		return
	}
	if err := manager.RemoveAll(ctx); err != nil {
		w.t.Logf("somebody else uses the cgroups of the classes: %v", err)
	}
}

func (w *world) eventually(what string, condition wait.ConditionWithContextFunc) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, condition); err != nil {
		w.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// until waits until a pod is as wanted, and returns it.
func (w *world) until(name, what string, condition func(*corev1.Pod) bool) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var err error
		pod, err = w.Client.CoreV1().Pods(w.namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && condition(pod), err
	})
	if err != nil {
		w.t.Fatalf("waiting until %s: %v; the status is %+v", what, err, pod.Status)
	}
	return pod
}

func (w *world) create(pod *corev1.Pod) {
	w.t.Helper()
	pod.Spec.NodeName, pod.Spec.HostNetwork = w.node, true // there is no pod network in this test
	if _, err := w.Client.CoreV1().Pods(w.namespace).Create(w.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) logs(container string) string {
	observed, err := w.engine.ListPods(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	for _, pod := range observed {
		for _, c := range pod.Containers {
			if c.Name == container {
				if err := w.engine.ReadLogs(w.t.Context(), c.ID, runtime.LogOptions{}, &out, io.Discard); err != nil {
					w.t.Fatal(err)
				}
				return out.String()
			}
		}
	}
	return "no such container"
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Conformance: "Pods should be submitted and removed", "InitContainer should invoke init containers on a RestartAlways pod",
// "ConfigMap should be consumable via environment variable", "Secrets should be consumable from pods in volume",
// "ServiceAccounts should mount an API token into pods".
func TestPodOnDocker(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	data := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Data: map[string]string{"greeting": "hello"}}
	if _, err := w.Client.CoreV1().ConfigMaps(w.namespace).Create(ctx, data, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	container := func(name string, args ...string) corev1.Container {
		return corev1.Container{Name: name, Image: w.image, ImagePullPolicy: corev1.PullIfNotPresent, Args: args,
			VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "scratch", MountPath: "/scratch"}}}
	}
	reader := container("reader", "read", "/data/greeting")
	token := container("token", "read", "/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	app := container("app", "sleep")
	app.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/app", "read", "/data/greeting"}}}}
	shown := container("shown", "env", "GREETING")
	shown.Env = []corev1.EnvVar{{Name: "GREETING", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "data"}, Key: "greeting"}}}}
	started := time.Now()
	w.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{reader, token, shown},
			Containers:     []corev1.Container{app},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "data"}}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
			},
		},
	})
	pod := w.until("web", "the pod is ready", isReady)
	t.Logf("ready after %v, with three init containers", time.Since(started))
	if pod.Status.Phase != corev1.PodRunning || pod.Status.HostIP != "127.0.0.1" || pod.Status.PodIP != "127.0.0.1" {
		t.Errorf("status %+v", pod.Status)
	}
	for name, want := range map[string]string{"reader": "hello", "token": w.namespace, "shown": "hello"} {
		if got := strings.TrimSpace(w.logs(name)); got != want {
			t.Errorf("container %s printed %q, want %q", name, got, want)
		}
	}
	w.expectEvents("web", "Pulled", "Created", "Started")
}

// TestRestart: containers keep running while the agent is away, and are restarted with a growing count by the next one.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "stays"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "app", Image: w.image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"sleep"}}}}})
	before := w.until("stays", "the pod is ready", isReady)
	w.stop()
	w.startAgent()
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "crashes"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "app", Image: w.image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"exit", "3"}}}}})
	crashed := w.until("crashes", "the container is in backoff", func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Waiting != nil &&
			pod.Status.ContainerStatuses[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	status := crashed.Status.ContainerStatuses[0]
	wantMessage := fmt.Sprintf("back-off 10s restarting failed container=app pod=crashes_%s(%s)", w.namespace, crashed.UID)
	if status.RestartCount != 1 || status.State.Waiting.Message != wantMessage || status.LastTerminationState.Terminated.ExitCode != 3 {
		t.Errorf("container status %+v", status)
	}
	after := w.until("stays", "the pod is there", func(*corev1.Pod) bool { return true })
	if b, a := before.Status.ContainerStatuses[0], after.Status.ContainerStatuses[0]; b.ContainerID != a.ContainerID || a.RestartCount != 0 || !isReady(after) {
		t.Errorf("the container did not survive: before %+v, after %+v", b, a)
	}
	w.expectEvents("crashes", "BackOff")
}

func (w *world) expectEvents(pod string, reasons ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("events %v are there", reasons), func(ctx context.Context) (bool, error) {
		list, err := w.Client.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod})
		if err != nil {
			return false, err
		}
		found := map[string]bool{}
		for _, event := range list.Items {
			found[event.Reason] = true
		}
		for _, reason := range reasons {
			if !found[reason] {
				return false, nil
			}
		}
		return true, nil
	})
}
