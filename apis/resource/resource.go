// Package resource holds the vocabulary in which every API kind is declared:
// one Resource is one row of the table that the API server serves.
//
// # Model
//
// A kind has exactly one Go type, the published one of k8s.io/api. That type is
// also the hub of its group: the scheme knows it under its real version and
// under the group's __internal version, so that nothing is converted between the
// wire, the handlers and etcd. All that differs between kinds (defaults, rules,
// columns, selectable fields, oddities of the life cycle) is a hook of the row;
// one generic strategy and one generic store in server/registry serve all rows.
//
// Rows are written with Define, whose hooks get the typed object, and are read
// through Resource, whose hooks take runtime.Object.
//
// # Traps
//
// Hooks must not keep or change the old object of an update: it may be shared
// with the watch cache. A hook that is nil means "nothing special".
package resource

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Resource is one row of the resource table, with untyped hooks. Build it with
// Define.
type Resource struct {
	Names

	// New and NewList return empty objects of the hub type.
	New     func() runtime.Object
	NewList func() runtime.Object

	// PrepareForCreate and PrepareForUpdate do what the generic strategy cannot
	// know: server-owned fields, aliases, dropped fields. The generic part (reset
	// of status, generation, managed fields) has already run.
	PrepareForCreate       func(ctx context.Context, obj runtime.Object)
	PrepareForUpdate       func(ctx context.Context, obj, old runtime.Object)
	PrepareForStatusUpdate func(ctx context.Context, obj, old runtime.Object)

	// Validate returns every error of a new object; ValidateUpdate those of a
	// change, including Validate's where they apply to the new state;
	// ValidateStatusUpdate those of a write through /status. Object metadata is
	// part of their job.
	Validate             func(ctx context.Context, obj runtime.Object) field.ErrorList
	ValidateUpdate       func(ctx context.Context, obj, old runtime.Object) field.ErrorList
	ValidateStatusUpdate func(ctx context.Context, obj, old runtime.Object) field.ErrorList

	// Warnings returns the texts of the Warning headers. old is nil on create.
	Warnings func(ctx context.Context, obj, old runtime.Object) []string

	// WarningsOnDelete returns the texts of the Warning headers of a deletion with
	// these options, of one object or of a collection.
	WarningsOnDelete func(ctx context.Context, options *metav1.DeleteOptions) []string

	// GracePeriod decides about graceful deletion: it fills
	// options.GracePeriodSeconds and reports whether the object stays until its
	// grace period has run out. nil: deleted at once.
	GracePeriod func(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool

	// DeleteOnUpdate reports that an update finishes a deletion, for kinds with a
	// private kind of finalizer (namespaces) or grace period (pods). nil: never
	// more than the generic rule.
	DeleteOnUpdate func(ctx context.Context, obj, old runtime.Object) bool

	// TTL returns the seconds after which a stored object expires. nil or 0: never.
	TTL func(obj runtime.Object) uint64

	Columns []Column
	// RowConditions marks a table row (a pod that ended is "Completed"), so that
	// clients can filter it.
	RowConditions func(obj runtime.Object) []metav1.TableRowCondition
	// Fields are the selectable fields beside metadata.name and
	// metadata.namespace.
	Fields []Field
}

// Names says what a kind is called and which switches of the generic strategy it
// needs. It is the untyped half of a row.
type Names struct {
	// Kind is the hub's kind; its version is also the one that is stored.
	Kind schema.GroupVersionKind
	// Also lists further group versions under which the same objects are served
	// with the same kind name (events.k8s.io/v1 for core events, autoscaling/v1
	// for HPAs). The scheme must be able to convert to them.
	Also []schema.GroupVersion

	Plural     string
	Singular   string // empty: the lower-case kind
	ShortNames []string
	Categories []string

	ClusterScoped bool
	// NoStatus: the kind has no /status subresource even if it has a Status field.
	NoStatus bool
	// KeepStatusOnCreate: a new object keeps the status that it comes with, as
	// nodes do, whose agents register themselves with it. Updates of the main
	// resource still leave the status alone.
	KeepStatusOnCreate bool
	// NoGeneration: metadata.generation stays 0 (kinds that never had it).
	NoGeneration bool
	// CreateOnUpdate: PUT of an object that does not exist creates it.
	CreateOnUpdate bool
	// RequireResourceVersion: an update without resourceVersion is refused.
	RequireResourceVersion bool
	// Subresources names those beside status that server/subresources must
	// attach: "scale", "binding", "log", ...
	Subresources []string
	// Verbs restricts what is served (create-only review kinds); nil: all verbs.
	Verbs []string
	// KeyPrefix is the etcd folder below /registry where upstream's differs from
	// the plural ("minions" for nodes, "services/specs" for services); empty: the
	// plural alone, whatever the group, as upstream stores its own kinds.
	KeyPrefix string
	// DefaultGC is what an unset propagationPolicy means; empty: Background.
	DefaultGC metav1.DeletionPropagation
	// NotStored: nothing is kept in etcd (reviews); server/registry serves the
	// kind with a handler of its own.
	NotStored bool
}

// Column is one printer column of a kind. Name and Age columns are added by the
// server where a table does not declare them.
type Column struct {
	Name        string
	Type        string // OpenAPI type: string, integer, number, boolean, date
	Format      string // OpenAPI format; "name" marks the name column
	Description string
	Wide        bool // shown by -o wide only (priority 1)
	Value       func(obj runtime.Object) any
}

// Field is a field that a fieldSelector may name.
type Field struct {
	Path string // "spec.nodeName"
	// Indexed: the watch cache keeps an index, and watches by this field are
	// dispatched by it.
	Indexed bool
	Value   func(obj runtime.Object) string
}

// GroupResource returns the row's resource in its home group.
func (n Names) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: n.Kind.Group, Resource: n.Plural}
}
