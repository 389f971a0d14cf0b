package core

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	longestEventWord = 128
	longestEventNote = 1024
)

// ValidateEventCreate returns what is wrong with a new event. Requests of events.
// k8s.io are held to stricter rules than the old ones of the core group.
func ValidateEventCreate(ctx context.Context, e *corev1.Event) field.ErrorList {
	errs := checkEvent(e)
	if !asksEventsGroup(ctx) {
		return errs
	}
	errs = append(errs, checkRequired(e.Reason, field.NewPath("reason"))...)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
		errs = append(errs, checkReporter(e)...)
	}
	errs = append(errs, checkEventWords(e)...)
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	unset := func(name string, set bool) {
		if set {
			errs = append(errs, field.Forbidden(field.NewPath(name), "should not be set"))
		}
	}
	unset("deprecatedFirstTimestamp", !e.FirstTimestamp.IsZero())
	unset("deprecatedLastTimestamp", !e.LastTimestamp.IsZero())
	unset("deprecatedCount", e.Count != 0)
	unset("deprecatedSource", e.Source != corev1.EventSource{})
	return errs
}

func asksEventsGroup(ctx context.Context) bool {
	info, ok := request.RequestInfoFrom(ctx)
	return ok && info.APIGroup == eventsv1.GroupName
}

// checkEvent applies the rules for events of either API.
func checkEvent(e *corev1.Event) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	involved := field.NewPath("involvedObject", "namespace")
	// Events about objects without a namespace live in "default".
	if ns := e.InvolvedObject.Namespace; ns == "" {
		if e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
			errs = append(errs, field.Invalid(involved, ns, "does not match event.namespace"))
		}
	} else if ns != e.Namespace && !(e.InvolvedObject.Kind == "Node" && e.Namespace == metav1.NamespaceDefault) {
		errs = append(errs, field.Invalid(involved, ns, "does not match event.namespace"))
	}
	if !e.EventTime.IsZero() {
		errs = append(errs, checkReporter(e)...)
	}
	return errs
}

// checkReporter checks what an event of the new style has to tell.
func checkReporter(e *corev1.Event) field.ErrorList {
	controller := field.NewPath("reportingController")
	errs := checkRequired(e.ReportingController, controller)
	if e.ReportingController != "" {
		errs = append(errs, rules.Invalid(controller, e.ReportingController, validation.IsQualifiedName(e.ReportingController)...)...)
	}
	errs = append(errs, checkRequired(e.ReportingInstance, field.NewPath("reportingInstance"))...)
	errs = append(errs, checkRequired(e.Action, field.NewPath("action"))...)
	errs = append(errs, checkRequired(e.Reason, field.NewPath("reason"))...)
	return append(errs, checkEventWords(e)...)
}

func checkEventWords(e *corev1.Event) field.ErrorList {
	var errs field.ErrorList
	check := func(name, value string, longest int) {
		if len(value) > longest {
			errs = append(errs, field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %v characters", longest)))
		}
	}
	check("reportingInstance", e.ReportingInstance, longestEventWord)
	check("action", e.Action, longestEventWord)
	check("reason", e.Reason, longestEventWord)
	check("message", e.Message, longestEventNote)
	return errs
}

// ValidateEventUpdate returns what is wrong with a change of an event. Through
// events.k8s.io only its series may change.
func ValidateEventUpdate(ctx context.Context, e, old *corev1.Event) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&e.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkEvent(e)...)
	if !asksEventsGroup(ctx) {
		return errs
	}
	same := func(name string, is, was any) {
		if !equality.Semantic.DeepEqual(is, was) {
			errs = append(errs, apivalidation.ValidateImmutableField(is, was, field.NewPath(name))...)
		}
	}
	same("involvedObject", e.InvolvedObject, old.InvolvedObject)
	same("reason", e.Reason, old.Reason)
	same("message", e.Message, old.Message)
	same("source", e.Source, old.Source)
	same("firstTimestamp", e.FirstTimestamp, old.FirstTimestamp)
	same("lastTimestamp", e.LastTimestamp, old.LastTimestamp)
	same("count", e.Count, old.Count)
	same("type", e.Type, old.Type)
	same("action", e.Action, old.Action)
	same("related", e.Related, old.Related)
	same("reportingController", e.ReportingController, old.ReportingController)
	same("reportingInstance", e.ReportingInstance, old.ReportingInstance)
	if !e.EventTime.Truncate(1e3).Equal(old.EventTime.Truncate(1e3)) { // stored with microseconds
		errs = append(errs, field.Invalid(field.NewPath("eventTime"), e.EventTime, apivalidation.FieldImmutableErrorMsg))
	}
	return errs
}
