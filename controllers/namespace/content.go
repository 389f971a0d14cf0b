package namespace

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"
)

// parallel is how many resources of one namespace are emptied at a time.
const parallel = 4

// resource is one kind of content.
type resource struct {
	gvr              schema.GroupVersionResource
	deleteCollection bool
}

// deletable returns the resources of discovery's answer that a namespace may
// contain and that can be listed and deleted. parseErr tells of group versions
// that cannot be read.
func deletable(lists []*metav1.APIResourceList) (out []resource, parseErr error) {
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			parseErr = errors.Join(parseErr, err)
			continue
		}
		for _, r := range list.APIResources {
			verbs := sets.New(r.Verbs...)
			if !r.Namespaced || strings.Contains(r.Name, "/") || !verbs.HasAll("list", "delete") {
				continue
			}
			out = append(out, resource{gvr: gv.WithResource(r.Name), deleteCollection: verbs.Has("deletecollection")})
		}
	}
	return out, parseErr
}

// leftover is what a namespace still contains after a pass.
type leftover struct {
	objects    map[schema.GroupVersionResource]int
	finalizers map[string]int // objects that wait for each finalizer
}

func (l leftover) empty() bool { return len(l.objects) == 0 }

// sweeper empties one namespace.
type sweeper struct {
	metadata  metadata.Interface
	namespace string
}

// sweep deletes the content of the namespace and says what is left. Pods go
// first (KEP-5080): as long as one runs, the policies and secrets around it stay.
func (s sweeper) sweep(ctx context.Context, resources []resource) (leftover, error) {
	pods := schema.GroupResource{Resource: "pods"}
	var first, rest []resource
	for _, r := range resources {
		if r.gvr.GroupResource() == pods {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	left, err := s.empty(ctx, first)
	if err != nil || !left.empty() {
		return left, err
	}
	return s.empty(ctx, rest)
}

func (s sweeper) empty(ctx context.Context, resources []resource) (leftover, error) {
	left := leftover{objects: make(map[schema.GroupVersionResource]int), finalizers: make(map[string]int)}
	var mu sync.Mutex // guards left and errs
	var errs []error
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, r := range resources {
		group.Go(func() error {
			remaining, err := s.emptyOne(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err) // the others go on
			}
			for i := range remaining {
				left.objects[r.gvr]++
				for _, f := range remaining[i].Finalizers {
					left.finalizers[f]++
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		errs = append(errs, err)
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return left, errors.Join(errs...)
}

// emptyOne deletes all objects of a resource and returns those that remain.
func (s sweeper) emptyOne(ctx context.Context, r resource) ([]metav1.PartialObjectMetadata, error) {
	api := s.metadata.Resource(r.gvr).Namespace(s.namespace)
	objects, err := list(ctx, api, r)
	if err != nil || len(objects) == 0 {
		return objects, err
	}
	options := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	err = apierrors.NewMethodNotSupported(r.gvr.GroupResource(), "deletecollection")
	if r.deleteCollection {
		err = api.DeleteCollection(ctx, options, metav1.ListOptions{})
	}
	if apierrors.IsMethodNotSupported(err) {
		err = nil
		for i := range objects {
			if e := api.Delete(ctx, objects[i].Name, options); e != nil && !apierrors.IsNotFound(e) {
				err = errors.Join(err, e)
			}
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return objects, fmt.Errorf("deleting %s: %w", r.gvr.GroupResource(), err)
	}
	return list(ctx, api, r)
}

func list(ctx context.Context, api metadata.ResourceInterface, r resource) ([]metav1.PartialObjectMetadata, error) {
	found, err := api.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil // the resource went away since discovery
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", r.gvr.GroupResource(), err)
	}
	return found.Items, nil
}
