package coordination

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

func leaseResource() resource.Resource {
	return resource.Define[coordinationv1.Lease, coordinationv1.LeaseList](resource.Definition[coordinationv1.Lease]{
		Names: resource.Names{
			Kind:           coordinationv1.SchemeGroupVersion.WithKind("Lease"),
			Plural:         "leases",
			NoGeneration:   true,
			CreateOnUpdate: true,
		},
		PrepareForCreate: func(_ context.Context, l *coordinationv1.Lease) { dropCoordinated(l) },
		PrepareForUpdate: func(_ context.Context, l, _ *coordinationv1.Lease) { dropCoordinated(l) },
		Validate: func(_ context.Context, l *coordinationv1.Lease) field.ErrorList {
			errs := apivalidation.ValidateObjectMeta(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
			return append(errs, checkLeaseSpec(&l.Spec)...)
		},
		ValidateUpdate: func(_ context.Context, l, old *coordinationv1.Lease) field.ErrorList {
			errs := apivalidation.ValidateObjectMetaUpdate(&l.ObjectMeta, &old.ObjectMeta, rules.Metadata)
			return append(errs, checkLeaseSpec(&l.Spec)...)
		},
		Columns: []resource.TypedColumn[coordinationv1.Lease]{
			columns.Name[coordinationv1.Lease](),
			columns.Text("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"], func(l *coordinationv1.Lease) string {
				return columns.Deref(l.Spec.HolderIdentity)
			}),
			columns.Age[coordinationv1.Lease](),
		},
	})
}

// dropCoordinated drops the fields of coordinated leader election (KEP-4355),
// which is off by default.
func dropCoordinated(l *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil }

func checkLeaseSpec(spec *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	if s := spec.LeaseDurationSeconds; s != nil && *s <= 0 {
		errs = append(errs, field.Invalid(rules.Spec.Child("leaseDurationSeconds"), *s, "must be greater than 0"))
	}
	if n := spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(rules.Spec.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	return errs
}
