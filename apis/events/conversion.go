package events

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

func addConversions(s *runtime.Scheme) error {
	add := []error{
		s.AddConversionFunc((*eventsv1.Event)(nil), (*corev1.Event)(nil), func(in, out any, _ conversion.Scope) error {
			ToCore(in.(*eventsv1.Event), out.(*corev1.Event))
			return nil
		}),
		s.AddConversionFunc((*corev1.Event)(nil), (*eventsv1.Event)(nil), func(in, out any, _ conversion.Scope) error {
			FromCore(in.(*corev1.Event), out.(*eventsv1.Event))
			return nil
		}),
		s.AddConversionFunc((*eventsv1.EventList)(nil), (*corev1.EventList)(nil), func(in, out any, _ conversion.Scope) error {
			list, hub := in.(*eventsv1.EventList), out.(*corev1.EventList)
			hub.ListMeta, hub.Items = list.ListMeta, convertAll(list.Items, ToCore)
			return nil
		}),
		s.AddConversionFunc((*corev1.EventList)(nil), (*eventsv1.EventList)(nil), func(in, out any, _ conversion.Scope) error {
			hub, list := in.(*corev1.EventList), out.(*eventsv1.EventList)
			list.ListMeta, list.Items = hub.ListMeta, convertAll(hub.Items, FromCore)
			return nil
		}),
	}
	for _, err := range add {
		if err != nil {
			return err
		}
	}
	return nil
}

func convertAll[In, Out any](in []In, convert func(*In, *Out)) []Out {
	if in == nil {
		return nil
	}
	out := make([]Out, len(in))
	for i := range in {
		convert(&in[i], &out[i])
	}
	return out
}

// ToCore writes the events.k8s.io event into the core one. Parts are shared, as
// conversions of the scheme may.
func ToCore(in *eventsv1.Event, out *corev1.Event) {
	out.ObjectMeta = in.ObjectMeta
	out.InvolvedObject = in.Regarding
	out.Related = in.Related
	out.Reason = in.Reason
	out.Message = in.Note
	out.Type = in.Type
	out.Action = in.Action
	out.EventTime = in.EventTime
	out.Series = (*corev1.EventSeries)(in.Series)
	out.ReportingController = in.ReportingController
	out.ReportingInstance = in.ReportingInstance
	out.Source = in.DeprecatedSource
	out.FirstTimestamp = in.DeprecatedFirstTimestamp
	out.LastTimestamp = in.DeprecatedLastTimestamp
	out.Count = in.DeprecatedCount
}

// FromCore writes the core event into the events.k8s.io one.
func FromCore(in *corev1.Event, out *eventsv1.Event) {
	out.ObjectMeta = in.ObjectMeta
	out.Regarding = in.InvolvedObject
	out.Related = in.Related
	out.Reason = in.Reason
	out.Note = in.Message
	out.Type = in.Type
	out.Action = in.Action
	out.EventTime = in.EventTime
	out.Series = (*eventsv1.EventSeries)(in.Series)
	out.ReportingController = in.ReportingController
	out.ReportingInstance = in.ReportingInstance
	out.DeprecatedSource = in.Source
	out.DeprecatedFirstTimestamp = in.FirstTimestamp
	out.DeprecatedLastTimestamp = in.LastTimestamp
	out.DeprecatedCount = in.Count
}
