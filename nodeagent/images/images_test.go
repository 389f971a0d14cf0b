package images

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/fake"
)

const (
	local  = "docker.io/library/local:1"
	remote = "docker.io/library/remote:latest"
)

type fixture struct {
	engine *fake.Runtime
	clock  *clocktesting.FakeClock
	puller *Puller
	events []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Unix(1000, 0))
	f := &fixture{engine: fake.New(clk), clock: clk}
	f.engine.AddImage(local)
	f.engine.AddRemoteImage(remote)
	puller, err := New(Config{Images: f.engine, Clock: clk, MaxParallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	f.puller = puller
	return f
}

func (f *fixture) ensure(t *testing.T, image string, policy corev1.PullPolicy) error {
	t.Helper()
	f.events = nil
	_, err := f.puller.Ensure(t.Context(), Request{PodUID: "uid", Image: image, Policy: policy,
		Event: func(kind, reason, message string) {
			f.events = append(f.events, kind+" "+reason+" "+message)
		}})
	return err
}

func TestPolicies(t *testing.T) {
	const failed = "manifest for docker.io/library/nope:latest not found: manifest unknown"
	tests := []struct {
		name, image string
		policy      corev1.PullPolicy
		reason      string
		message     string
		events      []string
	}{
		{"present", "local:1", corev1.PullIfNotPresent, "", "",
			[]string{`Normal Pulled Container image "local:1" already present on machine and can be accessed by the pod`}},
		{"present, never pulled", "local:1", corev1.PullNever, "", "",
			[]string{`Normal Pulled Container image "local:1" already present on machine and can be accessed by the pod`}},
		{"absent", "remote", corev1.PullIfNotPresent, "", "",
			[]string{`Normal Pulling Pulling image "remote"`, `Normal Pulled Successfully pulled image "remote" in 0s (0s including waiting). Image size: 1048576 bytes.`}},
		{"always", "remote:latest", corev1.PullAlways, "", "",
			[]string{`Normal Pulling Pulling image "remote:latest"`, `Normal Pulled Successfully pulled image "remote:latest" in 0s (0s including waiting). Image size: 1048576 bytes.`}},
		{"present, but always pulled from a registry that does not have it", "local:1", corev1.PullAlways, ReasonErrImagePull,
			"manifest for docker.io/library/local:1 not found: manifest unknown",
			[]string{`Normal Pulling Pulling image "local:1"`, `Warning Failed Failed to pull image "local:1": manifest for docker.io/library/local:1 not found: manifest unknown`}},
		{"nowhere", "nope", corev1.PullIfNotPresent, ReasonErrImagePull, failed,
			[]string{`Normal Pulling Pulling image "nope"`, `Warning Failed Failed to pull image "nope": ` + failed}},
		{"absent, never pulled", "nope", corev1.PullNever, ReasonErrImageNeverPull, `Container image "nope" is not present with pull policy of Never`,
			[]string{`Warning ErrImageNeverPull Container image "nope" is not present with pull policy of Never`}},
		{"no name", "Not/A/Name", corev1.PullIfNotPresent, ReasonInvalidImageName,
			`Failed to apply default image tag "Not/A/Name": couldn't parse image name "Not/A/Name": invalid reference format: repository name (A/Name) must be lowercase`,
			[]string{`Warning InspectFailed Failed to apply default image tag "Not/A/Name": couldn't parse image name "Not/A/Name": invalid reference format: repository name (A/Name) must be lowercase`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			err := f.ensure(t, tt.image, tt.policy)
			var failure *Error
			if errors.As(err, &failure) {
				if failure.Reason != tt.reason || failure.Message != tt.message {
					t.Errorf("got %s: %s", failure.Reason, failure.Message)
				}
			} else if err != nil || tt.reason != "" {
				t.Errorf("got %v, want %s", err, tt.reason)
			}
			if diff := cmp.Diff(tt.events, f.events); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestBackOff: 10 s, 20 s ... between failed pulls; in between ImagePullBackOff with the last error.
func TestBackOff(t *testing.T) {
	f := newFixture(t)
	reason := func() string {
		var failure *Error
		if err := f.ensure(t, "nope", corev1.PullIfNotPresent); errors.As(err, &failure) {
			return failure.Reason
		} else if err != nil {
			return err.Error()
		}
		return ""
	}
	var delays []time.Duration
	for range 7 {
		if got := reason(); got != ReasonErrImagePull {
			t.Fatalf("a pull that is due: %s", got)
		}
		if got := reason(); got != ReasonImagePullBackOff {
			t.Fatalf("at once again: %s", got)
		}
		delay := f.puller.RetryAfter("uid", "nope")
		delays = append(delays, delay)
		f.clock.Step(delay)
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second}
	if !slices.Equal(delays, want) {
		t.Errorf("delays %v, want %v", delays, want)
	}
	reason()
	err := f.ensure(t, "nope", corev1.PullIfNotPresent)
	const message = `ImagePullBackOff: Back-off pulling image "nope": ErrImagePull: manifest for docker.io/library/nope:latest not found: manifest unknown`
	if err == nil || err.Error() != message || !slices.Equal(f.events, []string{`Normal BackOff Back-off pulling image "nope"`}) {
		t.Errorf("got %v, events %v", err, f.events)
	}
	// Another pod with the same image does not wait.
	if _, err := f.puller.Ensure(t.Context(), Request{PodUID: "other", Image: "nope", Policy: corev1.PullIfNotPresent}); !strings.HasPrefix(err.Error(), ReasonErrImagePull) {
		t.Errorf("another pod: %v", err)
	}
	// The image has appeared in the engine: nothing to pull, nothing to wait for.
	f.engine.AddImage("docker.io/library/nope:latest")
	if got := reason(); got != "" {
		t.Errorf("after the image has come: %s", got)
	}
	f.puller.Forget("uid", "nope")
	if delay := f.puller.RetryAfter("uid", "nope"); delay != 0 {
		t.Errorf("after Forget: %v", delay)
	}
}

func TestInspectFails(t *testing.T) {
	f := newFixture(t)
	f.engine.Fail("InspectImage", errors.New("engine is ill"))
	var failure *Error
	if err := f.ensure(t, "local:1", corev1.PullIfNotPresent); !errors.As(err, &failure) || failure.Reason != ReasonImageInspectError ||
		failure.Message != `Failed to inspect image "docker.io/library/local:1": engine is ill` {
		t.Errorf("got %v", err)
	}
}

func TestNormalize(t *testing.T) {
	for image, want := range map[string]string{
		"redis":                              "docker.io/library/redis:latest",
		"redis:7":                            "docker.io/library/redis:7",
		"user/app":                           "docker.io/user/app:latest",
		"localhost/app":                      "localhost/app:latest",
		"localhost:5000/app:1":               "localhost:5000/app:1",
		"registry.k8s.io/pause:3.10":         "registry.k8s.io/pause:3.10",
		"a@sha256:" + sum:                    "docker.io/library/a@sha256:" + sum,
		"registry.example/a:1@sha256:" + sum: "registry.example/a:1@sha256:" + sum,
	} {
		if got, err := Normalize(image); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", image, got, err, want)
		}
	}
	for _, image := range []string{"", "UPPER", "a b", "a:b:c", "-/x", sum} {
		if got, err := Normalize(image); err == nil {
			t.Errorf("%q is taken for %q", image, got)
		}
	}
}

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func secret(name string, kind corev1.SecretType, key, content string) corev1.Secret {
	return corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, Data: map[string][]byte{key: []byte(content)}}
}

func dockerJSON(name, content string) corev1.Secret {
	return secret(name, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, content)
}

func TestCredentials(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("ann:pass:word"))
	tests := []struct {
		name    string
		secrets []corev1.Secret
		image   string
		want    []string // username:password
		err     string
	}{
		{"none", nil, "redis", nil, ""},
		{"auth", []corev1.Secret{dockerJSON("s", `{"auths":{"registry.example":{"auth":"`+basic+`"}}}`)}, "registry.example/a", []string{"ann:pass:word"}, ""},
		{"user and password", []corev1.Secret{dockerJSON("s", `{"auths":{"registry.example":{"username":"u","password":"p"}}}`)}, "registry.example/a/b:1", []string{"u:p"}, ""},
		{"another registry", []corev1.Secret{dockerJSON("s", `{"auths":{"registry.example":{"username":"u"}}}`)}, "other.example/a", nil, ""},
		{"the Hub's old name", []corev1.Secret{dockerJSON("s", `{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`)}, "redis", []string{"u:p"}, ""},
		{"dockercfg", []corev1.Secret{secret("s", corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `{"docker.io":{"username":"u","password":"p"}}`)}, "redis", []string{"u:p"}, ""},
		{"port", []corev1.Secret{dockerJSON("s", `{"auths":{"r.example:5000":{"username":"u"},"r.example":{"username":"v"}}}`)}, "r.example:5000/a", []string{"u:"}, ""},
		{"pattern", []corev1.Secret{dockerJSON("s", `{"auths":{"*.example":{"username":"u"}}}`)}, "r.example/a", []string{"u:"}, ""},
		{"pattern for one label only", []corev1.Secret{dockerJSON("s", `{"auths":{"*.example":{"username":"u"}}}`)}, "a.b.example/a", nil, ""},
		{"the longer path first", []corev1.Secret{dockerJSON("s", `{"auths":{"r.example":{"username":"all"},"r.example/team":{"username":"team"}}}`)},
			"r.example/team/app", []string{"team:", "all:"}, ""},
		{"a path is not a prefix of a name", []corev1.Secret{dockerJSON("s", `{"auths":{"r.example/team":{"username":"team"}}}`)}, "r.example/teammate", nil, ""},
		{"a broken one does not hide a good one", []corev1.Secret{dockerJSON("bad", "{secret"), dockerJSON("good", `{"auths":{"r.example":{"username":"u"}}}`)},
			"r.example/a", []string{"u:"}, `reading secret "bad": it is no JSON (at byte 2)`},
		{"auth that is no base64", []corev1.Secret{dockerJSON("s", `{"auths":{"r.example":{"auth":"???"}}}`)}, "r.example/a", nil,
			`reading secret "s": entry "r.example": auth is not base64 of username:password`},
		{"another type", []corev1.Secret{secret("s", corev1.SecretTypeOpaque, "x", "y")}, "redis", nil,
			`reading secret "s": type "Opaque" holds no image pull credentials`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ref, err := Normalize(tt.image)
			if err != nil {
				t.Fatal(err)
			}
			found, err := Credentials(tt.secrets, ref)
			var got []string
			for _, c := range found {
				got = append(got, c.Username+":"+c.Password)
			}
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || (err != nil && err.Error() != tt.err) {
				t.Errorf("got %v, %v; want %v, %s", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add(`{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}`, "redis")
	f.Add(`{"auths":{"[::1]:5000/x":{"username":"u"}}}`, "localhost:5000/x")
	f.Fuzz(func(t *testing.T, content, image string) {
		ref, err := Normalize(image)
		if err != nil {
			return
		}
		found, err := Credentials([]corev1.Secret{dockerJSON("s", content)}, ref)
		if err != nil && len(found) > 0 {
			t.Errorf("%q gave both %v and %v", content, found, err)
		}
	})
}

// importer is an engine that can make images.
type importer struct {
	*fake.Runtime
	imported []string
}

func TestEnsurePause(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(binary, []byte("ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	engine := &importer{Runtime: fake.New(clocktesting.NewFakeClock(time.Unix(0, 0)))}
	for range 2 {
		if err := EnsurePause(t.Context(), engine, "skiff/pause:1", binary); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{`skiff/pause:1 pause -rwxr-xr-x ENTRYPOINT ["/pause"] USER 65535:65535`}; !slices.Equal(engine.imported, want) {
		t.Errorf("got %q, want %q", engine.imported, want)
	}
	if err := EnsurePause(t.Context(), engine, "skiff/pause:2", binary+"-missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a binary: %v", err)
	}
	engine.Fail("InspectImage", runtime.Unreachable(errors.New("down")))
	if err := EnsurePause(t.Context(), engine, "skiff/pause:3", binary); err == nil {
		t.Error("no error though the engine does not answer")
	}
}

// ImportImage implements Importer.
func (i *importer) ImportImage(_ context.Context, ref string, archive io.Reader, instructions []string) error {
	header, err := tar.NewReader(archive).Next()
	if err != nil {
		return err
	}
	i.imported = append(i.imported, strings.Join(append([]string{ref, header.Name, header.FileInfo().Mode().String()}, instructions...), " "))
	i.AddImage(ref)
	return nil
}
