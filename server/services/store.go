package services

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/server/ipallocator"
	"github.com/skiff-project/skiff/server/registry"
)

// Allocator hands out the items of one range.
type Allocator interface {
	Allocate(ctx context.Context, item, owner string) error
	AllocateNext(ctx context.Context, owner string) (string, error)
	Release(ctx context.Context, item, owner string) error
	// Check and PeekNext are Allocate and AllocateNext of a dry run.
	Check(ctx context.Context, item, owner string) error
	PeekNext(ctx context.Context) (string, error)
}

var _ Allocator = &ipallocator.Pool{}

// Config names the ranges of the cluster.
type Config struct {
	// Families are the IP families of the cluster, the default one first.
	Families []corev1.IPFamily
	// Addresses has a range per family.
	Addresses map[corev1.IPFamily]Allocator
	Ports     Allocator
}

// Store is the storage of services.
type Store struct {
	*registry.Store
	cfg Config
}

var _ rest.StandardStorage = &Store{}

// NewStore gives the generic store of services its addresses and ports.
func NewStore(store *registry.Store, cfg Config) (*Store, error) {
	if len(cfg.Families) == 0 || cfg.Ports == nil {
		return nil, errors.New("services need an address range and a port range")
	}
	for _, family := range cfg.Families {
		if cfg.Addresses[family] == nil {
			return nil, fmt.Errorf("services need an address range of family %s", family)
		}
	}
	s := &Store{Store: store, cfg: cfg}
	store.BeginCreate = s.beginCreate
	store.BeginUpdate = s.beginUpdate
	store.AfterDelete = s.afterDelete
	return s, nil
}

// Create implements rest.Creater.
func (s *Store) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	ctx, t := withTransaction(ctx)
	out, err := s.Store.Create(ctx, obj, validate, options)
	s.finish(ctx, t, out, err)
	return out, err
}

// Update implements rest.Updater.
func (s *Store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	ctx, t := withTransaction(ctx)
	out, created, err := s.Store.Update(ctx, name, info, createValidation, updateValidation, forceCreate, options)
	s.finish(ctx, t, out, err)
	return out, created, err
}

// transaction collects what one write has taken, over all its attempts, and what
// the object had before.
type transaction struct {
	taken []claim
	had   []claim
}

// claim is an item of a range with the service that has it.
type claim struct {
	from        Allocator
	item, owner string
}

type transactionKey struct{}

func withTransaction(ctx context.Context) (context.Context, *transaction) {
	t := &transaction{}
	return context.WithValue(ctx, transactionKey{}, t), t
}

// transactionOf returns the transaction of a write; a write that did not come
// through Store gets one that nobody finishes, which Repair makes up for.
func transactionOf(ctx context.Context) *transaction {
	if t, ok := ctx.Value(transactionKey{}).(*transaction); ok {
		return t
	}
	return &transaction{}
}

// finish gives back what the written object does not use. It must also run when
// the client has gone.
func (s *Store) finish(ctx context.Context, t *transaction, out runtime.Object, err error) {
	var uses []claim
	if err != nil {
		if mayBeWritten(err) {
			return // what turns out to be unused is found by Repair
		}
		uses = t.had // the object is as it was
	} else if service, ok := out.(*corev1.Service); ok {
		uses = s.claimsOf(service)
	}
	ctx = context.WithoutCancel(ctx)
	for _, c := range append(t.taken, t.had...) {
		if slices.Contains(uses, c) {
			continue
		}
		if err := c.from.Release(ctx, c.item, c.owner); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot give back an address or port of a service, will be repaired", "item", c.item)
		}
	}
}

// mayBeWritten reports that the error leaves open whether etcd has the object.
func mayBeWritten(err error) bool {
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonUnknown, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout:
		return true
	}
	return false
}

func (s *Store) beginCreate(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	service, ok := obj.(*corev1.Service)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	// Aliases are brought into line first; preparing twice does no harm.
	s.Row().PrepareForCreate(ctx, service)
	return noFinish, s.allocate(ctx, service, nil, dryrun.IsDryRun(options.DryRun))
}

func (s *Store) beginUpdate(ctx context.Context, obj, oldObj runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	service, ok := obj.(*corev1.Service)
	old, wasService := oldObj.(*corev1.Service)
	if !ok || !wasService {
		return nil, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	s.Row().PrepareForUpdate(ctx, service, old)
	return noFinish, s.allocate(ctx, service, old, dryrun.IsDryRun(options.DryRun))
}

func noFinish(context.Context, bool) {}

// allocate takes what the service wants and fills it in.
func (s *Store) allocate(ctx context.Context, service, old *corev1.Service, dryRun bool) error {
	if errs := setFamilies(service, old, s.cfg.Families); len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), service.Name, errs)
	}
	t := transactionOf(ctx)
	owner := string(service.UID)
	if old != nil {
		owner = string(old.UID)
	}
	if !dryRun && old != nil {
		t.had = s.claimsOf(old)
	}
	a := &attempt{store: s, transaction: t, owner: owner, dryRun: dryRun}
	if err := a.addresses(ctx, service, old); err != nil {
		return err
	}
	return a.ports(ctx, service, old)
}

func (s *Store) afterDelete(obj runtime.Object, options *metav1.DeleteOptions) {
	service, ok := obj.(*corev1.Service)
	if !ok || dryrun.IsDryRun(options.DryRun) {
		return
	}
	ctx := context.Background()
	for _, c := range s.claimsOf(service) {
		if err := c.from.Release(ctx, c.item, c.owner); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot give back an address or port of a deleted service, will be repaired",
				"service", klog.KObj(service), "item", c.item)
		}
	}
}

// claimsOf returns what the service has.
func (s *Store) claimsOf(service *corev1.Service) []claim {
	var claims []claim
	owner := string(service.UID)
	for _, item := range usedAddresses(service) {
		if addr, err := netip.ParseAddr(item); err == nil {
			if from := s.cfg.Addresses[familyOf(addr)]; from != nil {
				claims = append(claims, claim{from, addr.String(), owner})
			}
		}
	}
	for _, item := range usedPorts(service) {
		claims = append(claims, claim{s.cfg.Ports, item, owner})
	}
	return claims
}
