// Package events serves the events of the core group under events.k8s.io/v1 too,
// where their fields have other names.
//
// # Model
//
// The hub of events.k8s.io is the Event of the core group: core's row names
// events.k8s.io/v1 as a further version, one store keeps the objects, and this
// package converts them on the way in and out. It has no rows of its own.
//
// # Traps
//
// AddToScheme must run after core's, because the scheme takes the first
// registration of a type for its real kind.
package events

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AddToScheme registers events.k8s.io/v1, the core Event as its hub, the
// conversions between them and the names of the selectable fields.
func AddToScheme(s *runtime.Scheme) error {
	if !s.Recognizes(corev1.SchemeGroupVersion.WithKind("Event")) {
		return fmt.Errorf("registering %s: the core group has to be registered first", eventsv1.SchemeGroupVersion)
	}
	if err := eventsv1.AddToScheme(s); err != nil {
		return fmt.Errorf("registering %s: %w", eventsv1.SchemeGroupVersion, err)
	}
	internal := schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &corev1.Event{}, &corev1.EventList{})
	if err := addConversions(s); err != nil {
		return fmt.Errorf("registering the conversions of %s: %w", eventsv1.SchemeGroupVersion, err)
	}
	return s.AddFieldLabelConversionFunc(eventsv1.SchemeGroupVersion.WithKind("Event"), fieldLabel)
}

// fieldLabel translates the fields of events.k8s.io/v1 that can be selected to
// those of the core Event.
func fieldLabel(label, value string) (string, string, error) {
	core, ok := map[string]string{
		"metadata.name":             "metadata.name",
		"metadata.namespace":        "metadata.namespace",
		"reason":                    "reason",
		"type":                      "type",
		"reportingController":       "reportingComponent",
		"regarding.kind":            "involvedObject.kind",
		"regarding.namespace":       "involvedObject.namespace",
		"regarding.name":            "involvedObject.name",
		"regarding.uid":             "involvedObject.uid",
		"regarding.apiVersion":      "involvedObject.apiVersion",
		"regarding.resourceVersion": "involvedObject.resourceVersion",
		"regarding.fieldPath":       "involvedObject.fieldPath",
	}[label]
	if !ok {
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
	return core, value, nil
}
