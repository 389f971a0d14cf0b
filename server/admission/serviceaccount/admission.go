// Package serviceaccount gives each new pod a service account, the pull secrets
// of that account, and the volume with which its containers reach the API.
package serviceaccount

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/skiff-project/skiff/server/admission/podrefs"
)

// PluginName is the name in --enable-admission-plugins.
const PluginName = "ServiceAccount"

const (
	defaultName = "default"
	// enforceAnnotation on an account limits its pods to the account's secrets.
	enforceAnnotation = "kubernetes.io/enforce-mountable-secrets"
)

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin is the admission plugin.
type Plugin struct {
	*admission.Handler
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
	// suffix makes the random end of volume names.
	suffix func(base string) string
	// defaultWait is how long to wait for the account "default" of a new namespace,
	// which a controller makes.
	defaultWait wait.Backoff
}

var (
	_ admission.MutationInterface                  = &Plugin{}
	_ admission.ValidationInterface                = &Plugin{}
	_ initializer.WantsExternalKubeClientSet       = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New returns the plugin; the server's initializers give it what it needs.
func New() *Plugin {
	return &Plugin{
		Handler:     admission.NewHandler(admission.Create, admission.Update),
		suffix:      names.SimpleNameGenerator.GenerateName,
		defaultWait: wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 10},
	}
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) { p.client = client }

// SetExternalKubeInformerFactory implements
// initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	accounts := factory.Core().V1().ServiceAccounts()
	p.accounts = accounts.Lister()
	p.SetReadyFunc(accounts.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.client == nil || p.accounts == nil {
		return fmt.Errorf("%s plugin needs a client and informers", PluginName)
	}
	return nil
}

// Admit completes a new pod.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetOperation() != admission.Create || !concernsPod(a) {
		return nil
	}
	pod, err := podOf(a)
	if err != nil {
		return err
	}
	if isMirror(pod) {
		// Mirror pods show what already runs; nothing can be added. Validate checks
		// that they ask for nothing.
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultName
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName

	account, err := p.account(ctx, a, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if wantsToken(account, pod) {
		mountToken(pod, p.suffix)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		for _, ref := range account.ImagePullSecrets {
			pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: ref.Name})
		}
	}
	return nil
}

// Validate refuses mirror pods that refer to API objects and pods that use
// secrets which a limited account does not list.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !concernsPod(a) {
		return nil
	}
	pod, err := podOf(a)
	if err != nil {
		return err
	}
	if a.GetOperation() == admission.Update {
		// Only an update of ephemeral containers can bring in new references.
		if a.GetSubresource() != "ephemeralcontainers" {
			return nil
		}
		return p.limitSecrets(ctx, a, pod)
	}
	if isMirror(pod) {
		return checkMirror(a, &pod.Spec)
	}
	if pod.Spec.ServiceAccountName == "" {
		return admission.NewForbidden(a, fmt.Errorf("no service account specified for pod %s/%s", a.GetNamespace(), pod.Name))
	}
	return p.limitSecrets(ctx, a, pod)
}

func concernsPod(a admission.Attributes) bool {
	if a.GetResource().GroupResource() != corev1.Resource("pods") {
		return false
	}
	return a.GetSubresource() == "" && a.GetOperation() == admission.Create ||
		a.GetSubresource() == "ephemeralcontainers" && a.GetOperation() == admission.Update
}

func podOf(a admission.Attributes) (*corev1.Pod, error) {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewBadRequest("Resource was marked with kind Pod but was unable to be converted")
	}
	return pod, nil
}

func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

func checkMirror(a admission.Attributes, spec *corev1.PodSpec) error {
	if spec.ServiceAccountName != "" {
		return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not reference service accounts"))
	}
	for range podrefs.Secrets(spec) {
		return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not reference secrets"))
	}
	if podrefs.UsesTokens(spec) {
		return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not use ServiceAccountToken volume projections"))
	}
	return nil
}

// account returns the service account of a new pod. The account "default" is made
// by a controller soon after its namespace, so it is waited for.
func (p *Plugin) account(ctx context.Context, a admission.Attributes, name string) (*corev1.ServiceAccount, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	account, err := p.accounts.ServiceAccounts(a.GetNamespace()).Get(name)
	if err == nil {
		return account, nil
	}
	backoff := p.defaultWait
	if name != defaultName {
		backoff.Steps = 1
	}
	waitErr := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		account, err = p.client.CoreV1().ServiceAccounts(a.GetNamespace()).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return true, err
	})
	if waitErr != nil {
		switch {
		case apierrors.IsNotFound(err):
			err = apierrors.NewNotFound(corev1.Resource("serviceaccount"), name)
		case err == nil:
			err = waitErr
		}
		return nil, admission.NewForbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.GetNamespace(), name, err))
	}
	return account, nil
}

func (p *Plugin) limitSecrets(ctx context.Context, a admission.Attributes, pod *corev1.Pod) error {
	account, err := p.account(ctx, a, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if enforce, _ := strconv.ParseBool(account.Annotations[enforceAnnotation]); !enforce {
		return nil
	}
	if err := checkSecrets(account, pod); err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}
