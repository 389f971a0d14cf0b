package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// writers at once. One pod's writes are always one after the other.
const writers = 8

// Writer brings statuses into the API.
type Writer struct {
	pods  corev1client.PodsGetter
	queue workqueue.TypedRateLimitingInterface[types.UID]

	mu      sync.Mutex // guards entries
	entries map[types.UID]*entry
}

// entry is a pod whose status is kept.
type entry struct {
	// base is the newest state of the pod in the API that is known here.
	base *corev1.Pod
	// want is the newest status; nil if it has not been set yet.
	want *corev1.PodStatus
	// remove asks for the final delete once want is written.
	remove bool
}

// NewWriter returns a Writer.
func NewWriter(pods corev1client.PodsGetter) (*Writer, error) {
	if pods == nil {
		return nil, errors.New("status: the pods client is missing")
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](100*time.Millisecond, 30*time.Second)
	return &Writer{
		pods:    pods,
		queue:   workqueue.NewTypedRateLimitingQueue(limiter),
		entries: map[types.UID]*entry{},
	}, nil
}

// Run writes until ctx is done.
func (w *Writer) Run(ctx context.Context) {
	var group sync.WaitGroup
	for range writers {
		group.Go(func() { w.work(ctx) })
	}
	<-ctx.Done()
	w.queue.ShutDown()
	group.Wait()
}

// Set makes status the one to be written for the pod, whose state in the API was
// as given. It returns at once; a status that is set before an older one was
// written replaces that.
func (w *Writer) Set(pod *corev1.Pod, status corev1.PodStatus) {
	w.set(pod, &status, false)
}

// Delete writes the status and then removes the pod from the API for good.
func (w *Writer) Delete(pod *corev1.Pod, status corev1.PodStatus) {
	w.set(pod, &status, true)
}

func (w *Writer) set(pod *corev1.Pod, status *corev1.PodStatus, remove bool) {
	w.mu.Lock()
	e := w.entries[pod.UID]
	if e == nil {
		e = &entry{}
		w.entries[pod.UID] = e
	}
	e.base = newer(e.base, pod)
	e.want = status
	e.remove = e.remove || remove
	_, changed := difference(e.base, e.want)
	due := changed || e.remove
	w.mu.Unlock()
	if due {
		w.queue.Add(pod.UID)
	}
}

// Forget drops a pod that is gone.
func (w *Writer) Forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.entries, uid)
}

func (w *Writer) work(ctx context.Context) {
	for {
		uid, shutdown := w.queue.Get()
		if shutdown {
			return
		}
		if err := w.write(ctx, uid); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Writing a pod's status", "podUID", uid)
			w.queue.AddRateLimited(uid)
		} else {
			w.queue.Forget(uid)
		}
		w.queue.Done(uid)
	}
}

// write writes what is wanted now.
func (w *Writer) write(ctx context.Context, uid types.UID) error {
	w.mu.Lock()
	e := w.entries[uid]
	if e == nil || e.want == nil {
		w.mu.Unlock()
		return nil
	}
	base, want, remove := e.base, e.want, e.remove
	w.mu.Unlock()

	wanted, changed := difference(base, want)
	if changed {
		patch, err := patchOf(base, wanted)
		if err != nil {
			return err
		}
		written, err := w.pods.Pods(base.Namespace).Patch(ctx, base.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && w.gone(ctx, base, err) {
			w.Forget(uid)
			return nil
		}
		if err != nil {
			return fmt.Errorf("patching the status of pod %s/%s: %w", base.Namespace, base.Name, err)
		}
		w.mu.Lock()
		e.base = newer(e.base, written)
		w.mu.Unlock()
	}
	if !remove {
		return nil
	}
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(uid))}
	if err := w.pods.Pods(base.Namespace).Delete(ctx, base.Name, options); err != nil && !w.gone(ctx, base, err) {
		return fmt.Errorf("removing pod %s/%s from the API: %w", base.Namespace, base.Name, err)
	}
	w.mu.Lock()
	e.remove = false
	w.mu.Unlock()
	return nil
}

// gone reports whether a write failed because the pod is no more, or another one
// has its name. A conflict alone does not say so: it may be with another writer.
func (w *Writer) gone(ctx context.Context, base *corev1.Pod, err error) bool {
	if !apierrors.IsConflict(err) {
		return apierrors.IsNotFound(err)
	}
	present, err := w.pods.Pods(base.Namespace).Get(ctx, base.Name, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && present.UID != base.UID
}

// newer returns the later of two states of a pod.
func newer(a, b *corev1.Pod) *corev1.Pod {
	if a == nil || b == nil || a.ResourceVersion == "" || b.ResourceVersion == "" {
		if b == nil {
			return a
		}
		return b
	}
	if order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion); err == nil && order > 0 {
		return a
	}
	return b
}

// owned are the condition types that this agent writes; all others stay as the API has them.
var owned = map[corev1.PodConditionType]bool{
	corev1.PodReadyToStartContainers: true, corev1.PodInitialized: true, corev1.PodReady: true, corev1.ContainersReady: true, corev1.PodScheduled: true,
}

// difference returns the status to be written over base, and whether it differs.
func difference(base *corev1.Pod, want *corev1.PodStatus) (*corev1.PodStatus, bool) {
	wanted := want.DeepCopy()
	var conditions []corev1.PodCondition
	for _, c := range wanted.Conditions {
		if owned[c.Type] {
			conditions = append(conditions, c)
		}
	}
	for _, c := range base.Status.Conditions {
		if !owned[c.Type] {
			conditions = append(conditions, c)
		}
	}
	wanted.Conditions = conditions
	return wanted, !equality.Semantic.DeepEqual(&base.Status, wanted)
}

// patchOf returns the patch with the UID as a precondition: a pod of the same
// name that came after is not touched.
func patchOf(base *corev1.Pod, wanted *corev1.PodStatus) ([]byte, error) {
	old, err := json.Marshal(corev1.Pod{Status: base.Status})
	if err != nil {
		return nil, fmt.Errorf("encoding the old status: %w", err)
	}
	want, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: base.UID}, Status: *wanted})
	if err != nil {
		return nil, fmt.Errorf("encoding the new status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, want, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("making the status patch: %w", err)
	}
	return patch, nil
}

// Owns reports whether the node agent writes conditions of that type.
func Owns(conditionType corev1.PodConditionType) bool { return owned[conditionType] }
