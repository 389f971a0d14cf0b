package policy

import (
	"context"

	policyv1 "k8s.io/api/policy/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

func podDisruptionBudgetResource() resource.Resource {
	spec, status := policyv1.PodDisruptionBudgetSpec{}.SwaggerDoc(), policyv1.PodDisruptionBudgetStatus{}.SwaggerDoc()
	return resource.Define[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList](resource.Definition[policyv1.PodDisruptionBudget]{
		Names: resource.Names{
			Kind:       policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
			Plural:     "poddisruptionbudgets",
			ShortNames: []string{"pdb"},
		},
		Validate:             ValidatePodDisruptionBudget,
		ValidateUpdate:       ValidatePodDisruptionBudgetUpdate,
		ValidateStatusUpdate: ValidatePodDisruptionBudgetStatusUpdate,
		Columns: []resource.TypedColumn[policyv1.PodDisruptionBudget]{
			columns.Name[policyv1.PodDisruptionBudget](),
			columns.Text("Min Available", spec["minAvailable"], func(b *policyv1.PodDisruptionBudget) string { return orNA(b.Spec.MinAvailable) }),
			columns.Text("Max Unavailable", spec["maxUnavailable"], func(b *policyv1.PodDisruptionBudget) string { return orNA(b.Spec.MaxUnavailable) }),
			columns.Number("Allowed Disruptions", status["disruptionsAllowed"], func(b *policyv1.PodDisruptionBudget) int32 { return b.Status.DisruptionsAllowed }),
			columns.Age[policyv1.PodDisruptionBudget](),
		},
	})
}

func orNA(value *intstr.IntOrString) string {
	if value == nil {
		return "N/A"
	}
	return value.String()
}

// ValidatePodDisruptionBudget returns what is wrong with a new budget.
func ValidatePodDisruptionBudget(_ context.Context, b *policyv1.PodDisruptionBudget) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&b.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkSpec(&b.Spec)...)
}

// ValidatePodDisruptionBudgetUpdate returns what is wrong with a change.
func ValidatePodDisruptionBudgetUpdate(_ context.Context, b, old *policyv1.PodDisruptionBudget) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&b.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkSpec(&b.Spec)...)
}

func checkSpec(spec *policyv1.PodDisruptionBudgetSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(rules.Spec, *spec, "minAvailable and maxUnavailable cannot be both set"))
	}
	if spec.MinAvailable != nil {
		errs = append(errs, checkAmount(*spec.MinAvailable, rules.Spec.Child("minAvailable"))...)
	}
	if spec.MaxUnavailable != nil {
		errs = append(errs, checkAmount(*spec.MaxUnavailable, rules.Spec.Child("maxUnavailable"))...)
	}
	errs = append(errs, metavalidation.ValidateLabelSelector(spec.Selector, metavalidation.LabelSelectorValidationOptions{}, rules.Spec.Child("selector"))...)
	if p := spec.UnhealthyPodEvictionPolicy; p != nil {
		errs = append(errs, rules.Enum(*p, rules.Spec.Child("unhealthyPodEvictionPolicy"), policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
	}
	return errs
}

func checkAmount(value intstr.IntOrString, path *field.Path) field.ErrorList {
	return append(rules.NonNegativeIntOrPercent(value, path), rules.AtMost100Percent(value, path)...)
}

// ValidatePodDisruptionBudgetStatusUpdate returns what is wrong with a new status.
func ValidatePodDisruptionBudgetStatusUpdate(_ context.Context, b, old *policyv1.PodDisruptionBudget) field.ErrorList {
	s := &b.Status
	errs := apivalidation.ValidateObjectMetaUpdate(&b.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, metavalidation.ValidateConditions(s.Conditions, rules.Status.Child("conditions"))...)
	errs = append(errs, rules.NonNegative(s.DisruptionsAllowed, rules.Status.Child("disruptionsAllowed"))...)
	errs = append(errs, rules.NonNegative(s.CurrentHealthy, rules.Status.Child("currentHealthy"))...)
	errs = append(errs, rules.NonNegative(s.DesiredHealthy, rules.Status.Child("desiredHealthy"))...)
	return append(errs, rules.NonNegative(s.ExpectedPods, rules.Status.Child("expectedPods"))...)
}
