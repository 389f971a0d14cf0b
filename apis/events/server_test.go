package events_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/e2e/testenv"
)

// TestOneEventTwoGroups checks that an event of one group is the same object in
// the other one. Conformance: "Events API should ensure that an event can be
// fetched, patched, deleted, and listed".
func TestOneEventTwoGroups(t *testing.T) {
	env := testenv.Start(t)
	ns := env.Namespace(t)
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "e"},
		EventTime:           metav1.NewMicroTime(time.Unix(1_700_000_000, 0)),
		Regarding:           corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "p"},
		ReportingController: "example.com/tester", ReportingInstance: "tester-1",
		Action: "Test", Reason: "Tested", Note: "it works", Type: corev1.EventTypeNormal,
	}
	if _, err := env.Client.EventsV1().Events(ns).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	core, err := env.Client.CoreV1().Events(ns).Get(t.Context(), "e", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if core.Message != "it works" || core.InvolvedObject.Name != "p" {
		t.Errorf("the core group shows %+v", core)
	}
	for selector, want := range map[string]int{"regarding.name=p": 1, "regarding.name=q": 0, "reportingController=example.com/tester": 1} {
		list, err := env.Client.EventsV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != want {
			t.Errorf("%s: %d events (%v), want %d", selector, len(list.Items), err, want)
		}
	}
	if err := env.Client.CoreV1().Events(ns).Delete(t.Context(), "e", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := env.Client.EventsV1().Events(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("after its deletion: %d events (%v)", len(list.Items), err)
	}
}
