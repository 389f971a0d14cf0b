package apps

import (
	"context"
	"encoding/json"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

func controllerRevisionResource() resource.Resource {
	doc := appsv1.ControllerRevision{}.SwaggerDoc()
	return resource.Define[appsv1.ControllerRevision, appsv1.ControllerRevisionList](resource.Definition[appsv1.ControllerRevision]{
		Names: resource.Names{
			Kind:   appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
			Plural: "controllerrevisions",
		},
		Validate:       ValidateControllerRevision,
		ValidateUpdate: ValidateControllerRevisionUpdate,
		Columns: []resource.TypedColumn[appsv1.ControllerRevision]{
			columns.Name[appsv1.ControllerRevision](),
			columns.Text("Controller", "Controller of the object", controllerOf),
			columns.Number("Revision", doc["revision"], func(r *appsv1.ControllerRevision) int64 { return r.Revision }),
			columns.Age[appsv1.ControllerRevision](),
		},
	})
}

// controllerOf returns the controller as "statefulset.apps/web".
func controllerOf(r *appsv1.ControllerRevision) string {
	owner := metav1.GetControllerOf(r)
	if owner == nil {
		return columns.None
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return columns.Unknown
	}
	gk := schema.GroupKind{Group: gv.Group, Kind: strings.ToLower(owner.Kind)}
	return gk.String() + "/" + owner.Name
}

// ValidateControllerRevision returns what is wrong with a new revision.
func ValidateControllerRevision(_ context.Context, r *appsv1.ControllerRevision) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkControllerRevision(r)...)
}

func checkControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	var errs field.ErrorList
	switch raw := r.Data.Raw; {
	case len(raw) == 0 && r.Data.Object == nil:
		errs = append(errs, field.Required(field.NewPath("data"), "data is mandatory"))
	case len(raw) > 0 && !json.Valid(raw):
		errs = append(errs, field.Invalid(field.NewPath("data"), string(raw), "must be valid JSON"))
	}
	return append(errs, rules.NonNegative(r.Revision, field.NewPath("revision"))...)
}

// ValidateControllerRevisionUpdate returns what is wrong with a change of a
// revision: its data is history and stays.
func ValidateControllerRevisionUpdate(_ context.Context, r, old *appsv1.ControllerRevision) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkControllerRevision(r)...)
	return append(errs, rules.Immutable(r.Data, old.Data, field.NewPath("data"))...)
}
