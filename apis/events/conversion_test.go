package events

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/skiff-project/skiff/apis/resource"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := resource.AddHub(s, corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil {
		t.Fatal(err)
	}
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRoundTrip checks that no field of an event is lost between the two groups,
// through the scheme as the server uses it.
func TestRoundTrip(t *testing.T) {
	s := newScheme(t)
	f := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), serializer.NewCodecFactory(s))
	internal := schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}
	for range 200 {
		event := &eventsv1.Event{}
		f.Fill(event)
		event.TypeMeta.Reset()
		list := &eventsv1.EventList{Items: []eventsv1.Event{*event}}
		hub, err := s.ConvertToVersion(list.DeepCopy(), internal)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := hub.(*corev1.EventList); !ok {
			t.Fatalf("the hub is a %T", hub)
		}
		back, err := s.ConvertToVersion(hub, eventsv1.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(list.Items, back.(*eventsv1.EventList).Items); diff != "" {
			t.Fatalf("events/v1 changed on its way through the hub:\n%s", diff)
		}

		old := &corev1.Event{}
		f.Fill(old)
		old.TypeMeta.Reset()
		var there eventsv1.Event
		var again corev1.Event
		FromCore(old.DeepCopy(), &there)
		ToCore(&there, &again)
		if diff := cmp.Diff(old, &again); diff != "" {
			t.Fatalf("a core event changed on its way through events/v1:\n%s", diff)
		}
	}
}

func TestFieldLabels(t *testing.T) {
	s := newScheme(t)
	gvk := eventsv1.SchemeGroupVersion.WithKind("Event")
	for label, want := range map[string]string{
		"regarding.name":      "involvedObject.name",
		"reportingController": "reportingComponent",
		"metadata.namespace":  "metadata.namespace",
		"reason":              "reason",
	} {
		if got, _, err := s.ConvertFieldLabel(gvk, label, "x"); err != nil || got != want {
			t.Errorf("%s became %q (%v), want %q", label, got, err, want)
		}
	}
	if _, _, err := s.ConvertFieldLabel(gvk, "involvedObject.name", "x"); err == nil {
		t.Error("a field of the core group was accepted")
	}
}

func TestNeedsCore(t *testing.T) {
	if err := AddToScheme(runtime.NewScheme()); err == nil {
		t.Error("registered without the core group, which would make events.k8s.io the home of core events")
	}
}
