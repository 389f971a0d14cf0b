package subresources

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/skiff-project/skiff/apis/core"
	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/server/registry"
)

// bindingStorage serves pods/binding: how a scheduler gives a pod to a node.
type bindingStorage struct{ store *registry.Store }

var (
	_ rest.NamedCreater                   = &bindingStorage{}
	_ rest.SubresourceObjectMetaPreserver = &bindingStorage{}
)

func newBinding(_ Config, store *registry.Store) rest.Storage { return &bindingStorage{store} }

func (b *bindingStorage) New() runtime.Object { return &corev1.Binding{} }
func (b *bindingStorage) Destroy()            {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate implements
// rest.SubresourceObjectMetaPreserver: a binding's UID and resourceVersion are
// preconditions on the pod.
func (b *bindingStorage) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create implements rest.NamedCreater.
func (b *bindingStorage) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := core.ValidatePodBinding(binding); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := b.bind(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// bind writes the pod below the strategy: no update may change spec.nodeName, a
// binding is the one way.
func (b *bindingStorage) bind(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	resource := b.store.Row().GroupResource()
	key, err := b.store.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	preconditions := &storage.Preconditions{}
	if binding.UID != "" {
		preconditions.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		preconditions.ResourceVersion = &binding.ResourceVersion
	}
	err = b.store.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, preconditions,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			pod, ok := obj.(*corev1.Pod)
			if !ok {
				return nil, fmt.Errorf("unexpected object: %#v", obj)
			}
			return pod, assign(pod, binding)
		}), dryRun, nil)
	if err == nil {
		return nil
	}
	err = storeerr.InterpretGetError(err, resource, binding.Name)
	if _, isStatus := err.(apierrors.APIStatus); isStatus {
		return storeerr.InterpretUpdateError(err, resource, binding.Name)
	}
	resource.Resource = "pods/binding"
	return apierrors.NewConflict(resource, binding.Name, err)
}

// assign gives the pod to the binding's target.
func assign(pod *corev1.Pod, binding *corev1.Binding) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.NominatedNodeName = ""
	if len(binding.Annotations) > 0 && pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Annotations, binding.Annotations)
	if len(binding.Labels) > 0 && pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	maps.Copy(pod.Labels, binding.Labels)
	podhelper.SetCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, metav1.Now())
	return nil
}

// LegacyBinding serves the old top-level bindings resource of the core group.
type LegacyBinding struct{ binding *bindingStorage }

var (
	_ rest.Creater              = &LegacyBinding{}
	_ rest.Scoper               = &LegacyBinding{}
	_ rest.SingularNameProvider = &LegacyBinding{}
)

// NewLegacyBinding returns the storage of bindings on the store of pods.
func NewLegacyBinding(pods *registry.Store) *LegacyBinding {
	return &LegacyBinding{&bindingStorage{pods}}
}

// New implements rest.Storage.
func (b *LegacyBinding) New() runtime.Object { return b.binding.New() }

// Destroy implements rest.Storage.
func (b *LegacyBinding) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (b *LegacyBinding) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (b *LegacyBinding) GetSingularName() string { return "binding" }

// Create implements rest.Creater.
func (b *LegacyBinding) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	return b.binding.Create(ctx, binding.Name, obj, validate, options)
}
