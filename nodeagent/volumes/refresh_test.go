package volumes

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestNextLook(t *testing.T) {
	for _, test := range []struct {
		name     string
		renewAt  time.Duration // 0: never
		failures int
		want     time.Duration
	}{
		{"nothing grows old", 0, 0, resyncAfter},
		{"a token soon", time.Minute, 0, time.Minute},
		{"a token late", time.Hour, 0, resyncAfter},
		{"a token that has expired", -time.Hour, 0, firstRetry},
		{"failed once", time.Minute, 1, firstRetry},
		{"failed again", 0, 3, 4 * firstRetry},
		{"failed often", 0, 1000, resyncAfter},
	} {
		renewAt := time.Time{}
		if test.renewAt != 0 {
			renewAt = start.Add(test.renewAt)
		}
		if got := nextLook(start, renewAt, test.failures).Sub(start); got != test.want {
			t.Errorf("%s: after %v, want %v", test.name, got, test.want)
		}
	}
}

// changes notes the pods that Config.Changed and Failed are called with.
type changes struct {
	mu      sync.Mutex
	changed []types.UID
	failed  []string
}

func (c *changes) set(config *Config) {
	config.Changed = func(uid types.UID) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed = append(c.changed, uid)
	}
	config.Failed = func(_ *corev1.Pod, err *SetupError) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = append(c.failed, err.Error())
	}
}

func (c *changes) get() (changed []types.UID, failed []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changed), slices.Clone(c.failed)
}

// run runs the manager until the test ends.
func (f *fixture) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// step waits until Run sleeps and lets time pass.
func (f *fixture) step(t *testing.T, d time.Duration) {
	t.Helper()
	eventually(t, "the manager sleeps", f.clock.HasWaiters)
	f.clock.Step(d)
}

func settingsPod() *corev1.Pod {
	return newPod(configMapVolume("conf", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}))
}

// [sig-storage] ConfigMap updates should be reflected in volume
func TestRefreshOnChange(t *testing.T) {
	noted := &changes{}
	f := newFixture(t, noted.set)
	f.source.setConfigMap("settings", map[string]string{"a": "1", "b": "x"})
	pod := settingsPod()
	f.mustMount(t, pod)
	f.run(t)
	path := filepath.Join(f.volume(pod, 0), "a")
	f.source.setConfigMap("settings", map[string]string{"a": "2"})
	f.Refresh(pod.UID)
	eventually(t, "the new content is there", func() bool { return read1(t, path) == "2" })
	eventually(t, "the change is told", func() bool { changed, _ := noted.get(); return slices.Equal(changed, []types.UID{pod.UID}) })
	// Without a word it is seen at the next resync.
	f.source.setConfigMap("settings", map[string]string{"a": "3"})
	f.step(t, resyncAfter)
	eventually(t, "the new content is there", func() bool { return read1(t, path) == "3" })
	// A pod that is gone stays gone, and one that was never there does no harm.
	if err := f.Unmount(context.Background(), pod.UID); err != nil {
		t.Fatal(err)
	}
	f.Refresh(pod.UID)
	f.Refresh("never")
	f.step(t, resyncAfter)
	eventually(t, "the manager sleeps", f.clock.HasWaiters)
	if known, err := f.Known(); err != nil || len(known) != 0 {
		t.Errorf("known: %v, %v", known, err)
	}
	if !slices.Contains(f.source.forgotten, pod.UID) {
		t.Error("its tokens are kept")
	}
}

// A pod waits for a config map that comes later.
func TestRefreshMakesWhatWasMissing(t *testing.T) {
	noted := &changes{}
	f := newFixture(t, noted.set)
	pod := settingsPod()
	if err := f.Mount(context.Background(), pod); err == nil {
		t.Fatal("mounted without the config map")
	}
	f.run(t)
	f.source.setConfigMap("settings", map[string]string{"a": "1"})
	f.Refresh(pod.UID)
	eventually(t, "the change is told", func() bool { changed, _ := noted.get(); return len(changed) == 1 })
	f.mustMount(t, pod)
	if got := read1(t, filepath.Join(f.volume(pod, 0), "a")); got != "1" {
		t.Errorf("got %q", got)
	}
	if _, failed := noted.get(); len(failed) != 0 {
		t.Errorf("told: %v", failed)
	}
}

// While the API is away, and when an object is deleted, containers keep what they have.
func TestContentIsKept(t *testing.T) {
	noted := &changes{}
	f := newFixture(t, noted.set)
	f.source.setConfigMap("settings", map[string]string{"a": "1"})
	pod := settingsPod()
	f.mustMount(t, pod)
	before := tree(t, f.volume(pod, 0))
	f.source.setDown(errors.New("connection refused"))
	again, err := New(f.config) // an agent that starts now
	if err != nil {
		t.Fatal(err)
	}
	f.Manager = again
	f.mustMount(t, pod)
	if got := tree(t, f.volume(pod, 0)); got != before {
		t.Errorf("got\n%s, want\n%s", got, before)
	}
	const want = `MountVolume.SetUp failed for volume "conf" : connection refused`
	if _, failed := noted.get(); !slices.Equal(failed, []string{want}) {
		t.Errorf("told: %q", failed)
	}
	// It is tried again soon, and then all is well.
	f.run(t)
	f.step(t, firstRetry)
	eventually(t, "the failure is told", func() bool { _, failed := noted.get(); return len(failed) == 2 })
	f.source.setDown(nil)
	f.source.setConfigMap("settings", map[string]string{"a": "2"})
	f.step(t, 2*firstRetry)
	eventually(t, "the new content is there", func() bool { return read1(t, filepath.Join(f.volume(pod, 0), "a")) == "2" })
}

func TestTokensAreRenewed(t *testing.T) {
	needMounts(t)
	f := newFixture(t)
	f.source.setConfigMap("kube-root-ca.crt", map[string]string{"ca.crt": "CERT"})
	pod := projectedPod()
	f.mustMount(t, pod)
	f.run(t)
	long, short := filepath.Join(f.volume(pod, 0), "token"), filepath.Join(f.volume(pod, 0), "vault/token")
	// The short one lives for 600 s, the long one for an hour.
	passed := time.Duration(0)
	for read1(t, short) != `token-1 of robot for "vault"` {
		f.step(t, 10*time.Second)
		if passed += 10 * time.Second; passed > 500*time.Second {
			t.Fatalf("after %v the token is %s", passed, read1(t, short))
		}
		if got := read1(t, short); passed < 480*time.Second && got != `token-0 of robot for "vault"` {
			t.Fatalf("after %v the token is %s already", passed, got)
		}
	}
	if got := read1(t, long); got != `token-0 of robot for ""` {
		t.Errorf("the long one is %s", got)
	}
	f.step(t, time.Hour*8/10-passed)
	eventually(t, "the long one is renewed", func() bool { return read1(t, long) == `token-1 of robot for ""` })
}

// Mounting, refreshing and unmounting at once is in order.
func TestConcurrency(t *testing.T) {
	f := newFixture(t)
	f.source.setConfigMap("settings", map[string]string{"a": "1"})
	f.run(t)
	var all sync.WaitGroup
	for _, uid := range []types.UID{"a", "b", "c"} {
		all.Go(func() {
			pod := settingsPod()
			pod.UID = uid
			for range 30 {
				var both sync.WaitGroup
				both.Go(func() {
					if err := f.Mount(context.Background(), pod); err != nil {
						t.Error(err)
					}
				})
				both.Go(func() { f.Refresh(uid) })
				both.Wait()
				if err := f.Unmount(context.Background(), uid); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if known, err := f.Known(); err != nil || len(known) != 0 {
		t.Errorf("left: %v, %v", known, err)
	}
}
