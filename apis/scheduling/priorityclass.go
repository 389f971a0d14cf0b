package scheduling

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	// SystemPrefix starts the names of the classes that users cannot make.
	SystemPrefix = "system-"
	// SystemClusterCritical and SystemNodeCritical are the classes that exist
	// always, for what a cluster or a node cannot live without.
	SystemClusterCritical = SystemPrefix + "cluster-critical"
	SystemNodeCritical    = SystemPrefix + "node-critical"
	// HighestUserDefinablePriority is the highest value of a class of a user.
	HighestUserDefinablePriority int32 = 1_000_000_000
	// SystemCriticalPriority is where the priorities of the system start.
	SystemCriticalPriority = 2 * HighestUserDefinablePriority
)

// SystemClasses returns the classes that a cluster has from the start, new each
// time.
func SystemClasses() []*schedulingv1.PriorityClass {
	class := func(name string, value int32, description string) *schedulingv1.PriorityClass {
		c := &schedulingv1.PriorityClass{Value: value, Description: description}
		c.Name = name
		SetDefaultsPriorityClass(c)
		return c
	}
	return []*schedulingv1.PriorityClass{
		class(SystemNodeCritical, SystemCriticalPriority+1000,
			"Used for system critical pods that must not be moved from their current node."),
		class(SystemClusterCritical, SystemCriticalPriority,
			"Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
	}
}

func priorityClassResource() resource.Resource {
	doc := schedulingv1.PriorityClass{}.SwaggerDoc()
	return resource.Define[schedulingv1.PriorityClass, schedulingv1.PriorityClassList](resource.Definition[schedulingv1.PriorityClass]{
		Names: resource.Names{
			Kind:          schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
			Plural:        "priorityclasses",
			ShortNames:    []string{"pc"},
			ClusterScoped: true,
		},
		PrepareForCreate: func(_ context.Context, pc *schedulingv1.PriorityClass) { pc.Generation = 1 },
		Validate:         ValidatePriorityClass,
		ValidateUpdate:   ValidatePriorityClassUpdate,
		Columns: []resource.TypedColumn[schedulingv1.PriorityClass]{
			columns.Name[schedulingv1.PriorityClass](),
			columns.Number("Value", doc["value"], func(pc *schedulingv1.PriorityClass) int32 { return pc.Value }),
			columns.Boolean("Global-Default", doc["globalDefault"], func(pc *schedulingv1.PriorityClass) bool { return pc.GlobalDefault }),
			columns.Age[schedulingv1.PriorityClass](),
			columns.Text("PreemptionPolicy", doc["preemptionPolicy"], func(pc *schedulingv1.PriorityClass) string {
				return string(columns.Deref(pc.PreemptionPolicy))
			}),
		},
	})
}

// SetDefaultsPriorityClass lets pods of the class take the place of others.
func SetDefaultsPriorityClass(pc *schedulingv1.PriorityClass) {
	defaulting.Pointer(&pc.PreemptionPolicy, corev1.PreemptLowerPriority)
}

// ValidatePriorityClass returns what is wrong with a new class.
func ValidatePriorityClass(_ context.Context, pc *schedulingv1.PriorityClass) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&pc.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	if strings.HasPrefix(pc.Name, SystemPrefix) {
		if err := checkSystemClass(pc); err != nil {
			errs = append(errs, field.Forbidden(rules.Metadata.Child("name"),
				"priority class names with '"+SystemPrefix+"' prefix are reserved for system use only. error: "+err.Error()))
		}
	} else if pc.Value > HighestUserDefinablePriority {
		errs = append(errs, field.Forbidden(field.NewPath("value"),
			fmt.Sprintf("maximum allowed value of a user defined priority is %v", HighestUserDefinablePriority)))
	}
	if pc.PreemptionPolicy != nil {
		errs = append(errs, rules.RequiredEnum(*pc.PreemptionPolicy, field.NewPath("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	return errs
}

// checkSystemClass checks that pc is exactly one of SystemClasses.
func checkSystemClass(pc *schedulingv1.PriorityClass) error {
	for _, class := range SystemClasses() {
		if class.Name != pc.Name {
			continue
		}
		switch {
		case class.Value != pc.Value:
			return fmt.Errorf("value of %v PriorityClass must be %v", class.Name, class.Value)
		case class.GlobalDefault != pc.GlobalDefault:
			return fmt.Errorf("globalDefault of %v PriorityClass must be %v", class.Name, class.GlobalDefault)
		}
		return nil
	}
	return fmt.Errorf("%v is not a known system priority class", pc.Name)
}

// ValidatePriorityClassUpdate returns what is wrong with a change of a class:
// pods keep the values that they were created with.
func ValidatePriorityClassUpdate(_ context.Context, pc, old *schedulingv1.PriorityClass) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&pc.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	if pc.Value != old.Value {
		errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(errs, rules.Immutable(pc.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
}
