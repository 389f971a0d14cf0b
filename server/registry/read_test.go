package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func applyMetaSelector(labels map[string]string) *applymetav1.LabelSelectorApplyConfiguration {
	return applymetav1.LabelSelector().WithMatchLabels(labels)
}

func TestListInChunks(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	const total = 7
	for i := range total {
		if _, err := api.Create(t.Context(), configMap(fmt.Sprintf("c%d", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	options := metav1.ListOptions{Limit: 3}
	for {
		page, err := api.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > 3 {
			t.Errorf("a page of %d", len(page.Items))
		}
		if page.Continue != "" && (page.RemainingItemCount == nil || *page.RemainingItemCount != int64(total-len(names)-3)) {
			t.Errorf("after %d: %v remain", len(names)+3, page.RemainingItemCount)
		}
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "c0 c1 c2 c3 c4 c5 c6" {
		t.Errorf("got %s", got)
	}
}

func TestFieldSelectors(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	makeServiceAccount(t, env, ns)
	pods := env.Client.CoreV1().Pods(ns)
	for name, node := range map[string]string{"a": "one", "b": "two", "c": "one"} {
		if _, err := pods.Create(t.Context(), pod(name, node), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for selector, want := range map[string]string{
		"spec.nodeName=one":                  "a c",
		"spec.nodeName!=one":                 "b",
		"metadata.name=b":                    "b",
		"status.phase=Pending":               "a b c",
		"spec.nodeName=one,metadata.name!=a": "c",
		"spec.nodeName=three":                "",
	} {
		for _, version := range []string{"", "0"} { // from etcd's state, from the cache
			list, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: selector, ResourceVersion: version})
			if err != nil {
				t.Errorf("%s: %v", selector, err)
				continue
			}
			var names []string
			for _, item := range list.Items {
				names = append(names, item.Name)
			}
			if got := strings.Join(names, " "); version == "" && got != want {
				t.Errorf("%s: got %q, want %q", selector, got, want)
			}
		}
	}
	_, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.hostname=x"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "field label not supported: spec.hostname") {
		t.Errorf("an unknown field: %v", err)
	}
}

func pod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:                     node,
			AutomountServiceAccountToken: ptr.To(false),
			Containers:                   []corev1.Container{{Name: "c", Image: "image"}},
		},
	}
}

func makeServiceAccount(t *testing.T, env *testenv.Env, ns string) {
	t.Helper()
	_, err := env.Client.CoreV1().ServiceAccounts(ns).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// Test that a watch dispatched by the index of spec.nodeName sees a pod come and
// go as it is bound and deleted.
func TestWatchByIndexedField(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	makeServiceAccount(t, env, ns)
	pods := env.Client.CoreV1().Pods(ns)
	w, err := pods.Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=one"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := pods.Create(t.Context(), pod("p", ""), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = pods.Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "one"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, w, watch.Added, "p")
	if err := pods.Delete(t.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	for {
		event := next(t, w)
		if event.Type == watch.Deleted {
			return
		}
	}
}

func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
	}
	return watch.Event{}
}

func expect(t *testing.T, w watch.Interface, kind watch.EventType, name string) {
	t.Helper()
	event := next(t, w)
	object, ok := event.Object.(metav1.Object)
	if event.Type != kind || !ok || object.GetName() != name {
		t.Fatalf("got %s of %+v, want %s of %s", event.Type, event.Object, kind, name)
	}
}

func TestWatchListAndBookmarks(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	if _, err := api.Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := api.Watch(t.Context(), metav1.ListOptions{
		AllowWatchBookmarks:  true,
		SendInitialEvents:    ptr.To(true),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	expect(t, w, watch.Added, "a")
	event := next(t, w)
	object, ok := event.Object.(metav1.Object)
	if event.Type != watch.Bookmark || !ok || object.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Fatalf("got %+v, want the bookmark at the end of the initial events", event)
	}
	if _, err := api.Create(t.Context(), configMap("b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, w, watch.Added, "b")
}

func TestTables(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	if _, err := env.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	get := func(resource, name string) *metav1.Table {
		table := &metav1.Table{}
		request := env.Client.CoreV1().RESTClient().Get().Namespace(ns).Resource(resource).
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
		if name != "" {
			request = request.Name(name)
		}
		raw, err := request.Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		if err := metav1Unmarshal(raw, table); err != nil {
			t.Fatal(err)
		}
		return table
	}
	for _, name := range []string{"", "a"} {
		table := get("configmaps", name)
		var columns []string
		for _, c := range table.ColumnDefinitions {
			columns = append(columns, c.Name)
		}
		if got := strings.Join(columns, " "); got != "Name Data Age" {
			t.Errorf("columns %s", got)
		}
		if len(table.Rows) != 1 || table.Rows[0].Cells[0] != "a" || table.ResourceVersion == "" {
			t.Errorf("got table %+v", table)
		}
	}
}

// Test that events are the same objects in both of their groups.
func TestEventsInTwoGroups(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	_, err := env.Client.EventsV1().Events(ns).Create(t.Context(), &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "e"},
		EventTime:           metav1.NowMicro(),
		ReportingController: "test/controller", ReportingInstance: "one",
		Action: "Testing", Reason: "Tested", Type: "Normal", Note: "noted",
		Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "p"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := env.Client.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=p"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Message != "noted" {
		t.Errorf("got %+v, %v", list, err)
	}
	other, err := env.Client.EventsV1().Events(ns).Get(t.Context(), "e", metav1.GetOptions{})
	if err != nil || other.Note != "noted" || other.Regarding.Name != "p" {
		t.Errorf("got %+v, %v", other, err)
	}
}

// Test that autoscalers are the same objects in both of their versions.
func TestAutoscalersInTwoVersions(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	_, err := env.Client.AutoscalingV1().HorizontalPodAutoscalers(ns).Create(t.Context(), &autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "h"},
		Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef:                 autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MaxReplicas:                    4,
			TargetCPUUtilizationPercentage: ptr.To[int32](60),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := env.Client.AutoscalingV2().HorizontalPodAutoscalers(ns).Get(t.Context(), "h", metav1.GetOptions{})
	if err != nil || len(got.Spec.Metrics) != 1 || *got.Spec.Metrics[0].Resource.Target.AverageUtilization != 60 {
		t.Errorf("got %+v, %v", got, err)
	}
	list, err := env.Client.AutoscalingV1().HorizontalPodAutoscalers(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || *list.Items[0].Spec.TargetCPUUtilizationPercentage != 60 {
		t.Errorf("got %+v, %v", list, err)
	}
}

// Test that a cancelled client ends its watch: nothing may leak.
func TestWatchEndsWithItsContext(t *testing.T) {
	env := testenv.Shared(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := env.Client.CoreV1().ConfigMaps(env.Namespace(t)).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for {
		select {
		case _, open := <-w.ResultChan():
			if !open {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the watch goes on")
		}
	}
}
