// Package objects gives pods the config maps and secrets that they refer to,
// and service account tokens. A node may know only what its pods need: each
// object is watched on its own while at least one pod refers to it, and the
// first read does not wait for the watch. A change is told to the pods that
// refer to the object.
package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Kind is the resource name of a kind of objects.
type Kind string

// The kinds of objects.
const (
	ConfigMaps Kind = "configmaps"
	Secrets    Kind = "secrets"
)

// Ref names an object.
type Ref struct {
	Kind            Kind
	Namespace, Name string
}

// Config is what a Store needs.
type Config struct {
	Client kubernetes.Interface
	// Changed is called with each pod that refers to an object that has changed.
	Changed func(podUID types.UID)
}

// Store keeps the objects of the node's pods.
type Store struct {
	client  kubernetes.Interface
	changed func(types.UID)
	ctx     context.Context // of all watches, ends with Close
	cancel  context.CancelFunc

	mu      sync.Mutex // guards what follows
	watches map[Ref]*watch
	byPod   map[types.UID]map[Ref]bool
}

// watch is one watched object.
type watch struct {
	pods   map[types.UID]bool
	store  cache.Store
	synced func() bool
	cancel context.CancelFunc
	// early has the versions that were read before the watch had begun.
	early map[string]bool
}

// missing is the version of an object that does not exist.
const missing = ""

// New returns a Store that has nothing yet.
func New(config Config) (*Store, error) {
	if config.Client == nil {
		return nil, errors.New("objects: Client is missing")
	}
	if config.Changed == nil {
		return nil, errors.New("objects: Changed is missing")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Store{
		client: config.Client, changed: config.Changed, ctx: ctx, cancel: cancel,
		watches: map[Ref]*watch{}, byPod: map[types.UID]map[Ref]bool{},
	}, nil
}

// Close ends all watches.
func (s *Store) Close() { s.cancel() }

// Register says which objects the pod refers to now; none when it is gone.
func (s *Store) Register(podUID types.UID, refs []Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := make(map[Ref]bool, len(refs))
	for _, ref := range refs {
		wanted[ref] = true
		if s.watches[ref] == nil {
			s.watches[ref] = s.start(ref)
		}
		s.watches[ref].pods[podUID] = true
	}
	for ref := range s.byPod[podUID] {
		if wanted[ref] {
			continue
		}
		w := s.watches[ref]
		delete(w.pods, podUID)
		if len(w.pods) == 0 {
			w.cancel()
			delete(s.watches, ref)
		}
	}
	if len(wanted) == 0 {
		delete(s.byPod, podUID)
		return
	}
	s.byPod[podUID] = wanted
}

// start begins to watch one object. The caller holds the lock.
func (s *Store) start(ref Ref) *watch {
	ctx, cancel := context.WithCancel(s.ctx)
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, ref.Name)
	var example runtime.Object = &corev1.ConfigMap{}
	if ref.Kind == Secrets {
		example = &corev1.Secret{}
	}
	w := &watch{pods: map[types.UID]bool{}, early: map[string]bool{}, cancel: cancel}
	tell := func() { s.tell(ref) }
	var controller cache.Controller
	w.store, controller = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(s.client.CoreV1().RESTClient(), string(ref.Kind), ref.Namespace, selector),
		ObjectType:    example,
		Handler: cache.ResourceEventHandlerDetailedFuncs{
			// Whether what is there at first is news is for settle to say.
			AddFunc: func(_ any, initial bool) {
				if !initial {
					tell()
				}
			},
			UpdateFunc: func(before, after any) {
				if version(before) != version(after) {
					tell()
				}
			},
			DeleteFunc: func(any) { tell() },
		},
	})
	w.synced = controller.HasSynced
	go controller.RunWithContext(ctx)
	go func() {
		if cache.WaitFor(ctx, "", controller.HasSyncedChecker()) {
			s.settle(ref, w)
		}
	}()
	return w
}

func version(object any) string {
	if accessor, ok := object.(metav1.Object); ok {
		return accessor.GetResourceVersion()
	}
	return ""
}

func (s *Store) tell(ref Ref) {
	s.mu.Lock()
	var pods []types.UID
	if w := s.watches[ref]; w != nil {
		for uid := range w.pods {
			pods = append(pods, uid)
		}
	}
	s.mu.Unlock()
	for _, uid := range pods {
		s.changed(uid)
	}
}

// cached returns the object if it is watched and the watch has begun; known is
// true also if it is known not to exist.
func (s *Store) cached(ref Ref) (object any, known bool) {
	s.mu.Lock()
	w := s.watches[ref]
	s.mu.Unlock()
	if w == nil || !w.synced() {
		return nil, false
	}
	object, exists, err := w.store.GetByKey(ref.Namespace + "/" + ref.Name)
	if err != nil || !exists {
		return nil, err == nil
	}
	return object, true
}

// ConfigMap returns a config map; it must not be changed.
func (s *Store) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return read(ctx, s, Ref{ConfigMaps, namespace, name}, "configmap", s.client.CoreV1().ConfigMaps(namespace).Get)
}

// Secret returns a secret; it must not be changed.
func (s *Store) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return read(ctx, s, Ref{Secrets, namespace, name}, "secret", s.client.CoreV1().Secrets(namespace).Get)
}

// read returns the object as it is watched, and where that is not known, as get
// returns it.
func read[T metav1.Object](ctx context.Context, s *Store, ref Ref, kind string, get func(context.Context, string, metav1.GetOptions) (T, error)) (T, error) {
	cached, known := s.cached(ref)
	if object, ok := cached.(T); ok {
		return object, nil
	}
	// A missing object is asked for again: the pod may have been made right after it.
	object, err := get(ctx, ref.Name, metav1.GetOptions{})
	if !known {
		switch {
		case err == nil:
			s.note(ref, object.GetResourceVersion())
		case apierrors.IsNotFound(err):
			s.note(ref, missing)
		}
	}
	return object, plain(err, kind, ref.Name)
}

// note remembers a version that was read while the watch had not begun.
func (s *Store) note(ref Ref, version string) {
	s.mu.Lock()
	w := s.watches[ref]
	if w != nil {
		w.early[version] = true
	}
	s.mu.Unlock()
	if w != nil && w.synced() { // it has begun meanwhile
		s.settle(ref, w)
	}
}

// settle tells the pods if the watch began with another version than one that was
// read before: the watch itself tells only of what comes later.
func (s *Store) settle(ref Ref, w *watch) {
	now := missing
	if object, exists, err := w.store.GetByKey(ref.Namespace + "/" + ref.Name); err == nil && exists {
		now = version(object)
	}
	s.mu.Lock()
	changed := len(w.early) > 1 || len(w.early) == 1 && !w.early[now]
	clear(w.early)
	s.mu.Unlock()
	if changed {
		s.tell(ref)
	}
}

// plain gives a missing object the text that users know: configmap "x" not found.
func plain(err error, kind, name string) error {
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(corev1.Resource(kind), name)
	}
	if err != nil {
		return fmt.Errorf("reading %s %q: %w", kind, name, err)
	}
	return nil
}
