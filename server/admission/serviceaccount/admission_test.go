package serviceaccount

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

func account(name string, change ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	for _, f := range change {
		f(sa)
	}
	return sa
}

func plugin(t *testing.T, client *fake.Clientset, seen ...*corev1.ServiceAccount) *Plugin {
	t.Helper()
	p := New()
	p.suffix = func(base string) string { return base + "abcde" }
	p.defaultWait = wait.Backoff{Duration: time.Millisecond, Steps: 5}
	factory := informers.NewSharedInformerFactory(client, 0)
	p.SetExternalKubeClientSet(client)
	p.SetExternalKubeInformerFactory(factory)
	p.SetReadyFunc(func() bool { return true })
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	for _, sa := range seen {
		if err := factory.Core().V1().ServiceAccounts().Informer().GetIndexer().Add(sa); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func attributes(pod *corev1.Pod, subresource string, operation admission.Operation) admission.Attributes {
	return admission.NewAttributesRecord(pod, nil, schema.GroupVersionKind{}, "ns", pod.Name, corev1.SchemeGroupVersion.WithResource("pods"), subresource, operation, nil, false, nil)
}

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

// Conformance: "ServiceAccounts should mount an API token into pods".
func TestTokenVolume(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
		})
	})
	if err := plugin(t, fake.NewClientset(), account("default")).Admit(context.Background(), attributes(p, "", admission.Create), nil); err != nil {
		t.Fatal(err)
	}
	mount := corev1.VolumeMount{Name: "kube-api-access-abcde", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}
	want := corev1.PodSpec{
		ServiceAccountName: "default", DeprecatedServiceAccount: "default",
		InitContainers: []corev1.Container{{Name: "init", VolumeMounts: []corev1.VolumeMount{mount}}},
		Containers: []corev1.Container{
			{Name: "main", VolumeMounts: []corev1.VolumeMount{mount}},
			{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}},
		},
		Volumes: []corev1.Volume{{Name: "kube-api-access-abcde", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To[int32](0o644),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3607)}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
			},
		}}}},
	}
	if diff := cmp.Diff(want, p.Spec); diff != "" {
		t.Error(diff)
	}
}

// Conformance: "ServiceAccounts should allow opting out of API token automount".
func TestAutomountOptOut(t *testing.T) {
	for _, tc := range []struct {
		pod, account *bool
		mounted      bool
	}{
		{nil, nil, true}, {nil, ptr.To(true), true}, {nil, ptr.To(false), false},
		{ptr.To(true), nil, true}, {ptr.To(true), ptr.To(true), true}, {ptr.To(true), ptr.To(false), true},
		{ptr.To(false), nil, false}, {ptr.To(false), ptr.To(true), false}, {ptr.To(false), ptr.To(false), false},
	} {
		p := pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = tc.pod })
		sa := account("default", func(sa *corev1.ServiceAccount) { sa.AutomountServiceAccountToken = tc.account })
		if err := plugin(t, fake.NewClientset(), sa).Admit(context.Background(), attributes(p, "", admission.Create), nil); err != nil {
			t.Fatal(err)
		}
		if mounted := len(p.Spec.Volumes) == 1 && len(p.Spec.Containers[0].VolumeMounts) == 1; mounted != tc.mounted {
			t.Errorf("pod %v, account %v: mounted=%v", tc.pod, tc.account, mounted)
		}
	}
}

func TestVolumeOfADumpedPodIsUsed(t *testing.T) {
	p := pod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-zzzzz"}} })
	if err := plugin(t, fake.NewClientset(), account("default")).Admit(context.Background(), attributes(p, "", admission.Create), nil); err != nil {
		t.Fatal(err)
	}
	if len(p.Spec.Volumes) != 1 || p.Spec.Containers[0].VolumeMounts[0].Name != "kube-api-access-zzzzz" {
		t.Errorf("got %+v", p.Spec)
	}
}

func TestPullSecrets(t *testing.T) {
	sa := account("robot", func(sa *corev1.ServiceAccount) {
		sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	})
	for name, tc := range map[string]struct{ have, want []corev1.LocalObjectReference }{
		"from the account": {nil, []corev1.LocalObjectReference{{Name: "registry"}}},
		"the pod's own":    {[]corev1.LocalObjectReference{{Name: "own"}}, []corev1.LocalObjectReference{{Name: "own"}}},
	} {
		p := pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName, p.Spec.ImagePullSecrets = "robot", tc.have })
		if err := plugin(t, fake.NewClientset(), sa).Admit(context.Background(), attributes(p, "", admission.Create), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, p.Spec.ImagePullSecrets); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMissingAccount(t *testing.T) {
	p := pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "none" })
	err := plugin(t, fake.NewClientset()).Admit(context.Background(), attributes(p, "", admission.Create), nil)
	want := `pods "p" is forbidden: error looking up service account ns/none: serviceaccount "none" not found`
	if err == nil || !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDefaultAccountIsWaitedFor(t *testing.T) {
	client := fake.NewClientset()
	asked := 0
	client.PrependReactor("get", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		if asked++; asked < 3 {
			return true, nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "default")
		}
		return true, account("default"), nil
	})
	if err := plugin(t, client).Admit(context.Background(), attributes(pod(), "", admission.Create), nil); err != nil {
		t.Error(err)
	}

	gone := plugin(t, fake.NewClientset())
	err := gone.Admit(context.Background(), attributes(pod(), "", admission.Create), nil)
	if err == nil || !strings.Contains(err.Error(), `error looking up service account ns/default: serviceaccount "default" not found`) {
		t.Errorf("got %v", err)
	}
}

func TestMirrorPods(t *testing.T) {
	mirror := func(change func(*corev1.Pod)) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }, change)
	}
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		err  string
	}{
		{"plain", mirror(func(*corev1.Pod) {}), ""},
		{"with account", mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }), "a mirror pod may not reference service accounts"},
		{"with secret", mirror(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}} }), "a mirror pod may not reference secrets"},
		{"with token", mirror(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: credentials()}}}
		}), "a mirror pod may not use ServiceAccountToken volume projections"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := plugin(t, fake.NewClientset())
			before := tc.pod.DeepCopy()
			if err := p.Admit(context.Background(), attributes(tc.pod, "", admission.Create), nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, tc.pod); diff != "" {
				t.Errorf("a mirror pod was changed: %s", diff)
			}
			err := p.Validate(context.Background(), attributes(tc.pod, "", admission.Create), nil)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}

func TestMountableSecrets(t *testing.T) {
	limited := account("robot", func(sa *corev1.ServiceAccount) {
		sa.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
		sa.Secrets = []corev1.ObjectReference{{Name: "good"}}
		sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	})
	with := func(change func(*corev1.PodSpec)) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "robot"; change(&p.Spec) })
	}
	secretEnv := func(name string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}}
	}
	volume := func(name string) []corev1.Volume {
		return []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name}}}}
	}
	for _, tc := range []struct {
		name        string
		pod         *corev1.Pod
		subresource string
		err         string
	}{
		{"listed", with(func(s *corev1.PodSpec) { s.Volumes = volume("good"); s.Containers[0].Env = secretEnv("good") }), "", ""},
		{"volume", with(func(s *corev1.PodSpec) { s.Volumes = volume("bad") }), "", `volume with secret.secretName="bad" is not allowed because service account robot does not reference that secret`},
		{"env", with(func(s *corev1.PodSpec) { s.Containers[0].Env = secretEnv("bad") }), "", `container main with envVar E referencing secret.secretName="bad" is not allowed because service account robot does not reference that secret`},
		{"init env", with(func(s *corev1.PodSpec) { s.InitContainers = []corev1.Container{{Name: "i", Env: secretEnv("bad")}} }), "", `init container i with envVar E referencing`},
		{"pull secret", with(func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "bad"}} }), "", `imagePullSecrets[0].name="bad" is not allowed because service account robot does not reference that imagePullSecret`},
		{"debugging", with(func(s *corev1.PodSpec) {
			s.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Env: secretEnv("bad")}}}
		}), "ephemeralcontainers", `ephemeral container d with envVar E referencing`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			operation := admission.Create
			if tc.subresource != "" {
				operation = admission.Update
			}
			err := plugin(t, fake.NewClientset(), limited).Validate(context.Background(), attributes(tc.pod, tc.subresource, operation), nil)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}
