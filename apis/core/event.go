package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

// eventTTL is how long an event is kept, in seconds.
const eventTTL = 60 * 60

func eventResource() resource.Resource {
	return resource.Define[corev1.Event, corev1.EventList](resource.Definition[corev1.Event]{
		Names: resource.Names{
			Kind:           corev1.SchemeGroupVersion.WithKind("Event"),
			Also:           []schema.GroupVersion{eventsv1.SchemeGroupVersion},
			Plural:         "events",
			ShortNames:     []string{"ev"},
			NoGeneration:   true,
			CreateOnUpdate: true,
		},
		Validate:       ValidateEventCreate,
		ValidateUpdate: ValidateEventUpdate,
		TTL:            func(*corev1.Event) uint64 { return eventTTL },
		Columns:        eventColumns(),
		Fields:         eventFields(),
	})
}

func eventFields() []resource.TypedField[corev1.Event] {
	return []resource.TypedField[corev1.Event]{
		{Path: "involvedObject.kind", Value: func(e *corev1.Event) string { return e.InvolvedObject.Kind }},
		{Path: "involvedObject.namespace", Value: func(e *corev1.Event) string { return e.InvolvedObject.Namespace }},
		{Path: "involvedObject.name", Value: func(e *corev1.Event) string { return e.InvolvedObject.Name }},
		{Path: "involvedObject.uid", Value: func(e *corev1.Event) string { return string(e.InvolvedObject.UID) }},
		{Path: "involvedObject.apiVersion", Value: func(e *corev1.Event) string { return e.InvolvedObject.APIVersion }},
		{Path: "involvedObject.resourceVersion", Value: func(e *corev1.Event) string { return e.InvolvedObject.ResourceVersion }},
		{Path: "involvedObject.fieldPath", Value: func(e *corev1.Event) string { return e.InvolvedObject.FieldPath }},
		{Path: "reason", Value: func(e *corev1.Event) string { return e.Reason }},
		{Path: "reportingComponent", Value: func(e *corev1.Event) string { return e.ReportingController }},
		{Path: "source", Value: func(e *corev1.Event) string {
			if e.Source.Component != "" {
				return e.Source.Component
			}
			return e.ReportingController
		}},
		{Path: "type", Value: func(e *corev1.Event) string { return e.Type }},
	}
}

func eventColumns() []resource.TypedColumn[corev1.Event] {
	doc := corev1.Event{}.SwaggerDoc()
	return []resource.TypedColumn[corev1.Event]{
		columns.Text("Last Seen", doc["lastTimestamp"], func(e *corev1.Event) string { return columns.Since(lastSeen(e)) }),
		columns.Text("Type", doc["type"], func(e *corev1.Event) string { return e.Type }),
		columns.Text("Reason", doc["reason"], func(e *corev1.Event) string { return e.Reason }),
		columns.Text("Object", doc["involvedObject"], func(e *corev1.Event) string {
			if e.InvolvedObject.Name == "" {
				return strings.ToLower(e.InvolvedObject.Kind)
			}
			return fmt.Sprintf("%s/%s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name)
		}),
		columns.Wide(columns.Text("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"], func(e *corev1.Event) string {
			return e.InvolvedObject.FieldPath
		})),
		columns.Wide(columns.Text("Source", doc["source"], func(e *corev1.Event) string { return eventSource(e) })),
		columns.Text("Message", doc["message"], func(e *corev1.Event) string { return strings.TrimSpace(e.Message) }),
		columns.Wide(columns.Text("First Seen", doc["firstTimestamp"], func(e *corev1.Event) string {
			if e.FirstTimestamp.IsZero() {
				return columns.Since(metav1.Time(e.EventTime))
			}
			return columns.Since(e.FirstTimestamp)
		})),
		columns.Wide(columns.Number("Count", doc["count"], eventCount)),
		columns.Wide(columns.Name[corev1.Event]()),
	}
}

// lastSeen returns the time of the event's last occurrence, whichever of the
// three ways of counting its reporter used.
func lastSeen(e *corev1.Event) metav1.Time {
	if e.Series != nil {
		return metav1.Time(e.Series.LastObservedTime)
	}
	if e.LastTimestamp.IsZero() {
		return metav1.Time(e.EventTime)
	}
	return e.LastTimestamp
}

func eventCount(e *corev1.Event) int64 {
	switch {
	case e.Series != nil:
		return int64(e.Series.Count)
	case e.Count == 0:
		return 1 // reporters of the newer API leave the count out
	default:
		return int64(e.Count)
	}
}

// eventSource returns who reported the event and from which host or instance.
func eventSource(e *corev1.Event) string {
	component, instance := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if instance == "" {
		instance = e.ReportingInstance
	}
	if instance == "" {
		return component
	}
	return component + ", " + instance
}
