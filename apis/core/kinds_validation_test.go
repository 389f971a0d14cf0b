package core

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/skiff-project/skiff/apis/resource"
)

func rowOf(t *testing.T, kind string) resource.Resource {
	t.Helper()
	for _, row := range Resources() {
		if row.Kind.Kind == kind {
			return row
		}
	}
	t.Fatalf("no row of %s", kind)
	return resource.Resource{}
}

// TestKindValidation creates objects from manifests and, where there is an
// "update", writes that over them.
func TestKindValidation(t *testing.T) {
	tests := []struct {
		name, kind     string
		create, update string
		want           []string
	}{
		{name: "config map", kind: "ConfigMap", create: "data: {a: b}"},
		{name: "config map keys", kind: "ConfigMap", create: "data: {'a b': x, c: x}\nbinaryData: {c: eA==, '..': eA==}", want: []string{
			`data[a b]: Invalid value: "a b": a valid config key`,
			`data[c]: Invalid value: "c": duplicate of key present in binaryData`,
			`binaryData[..]: Invalid value: "..": must not be '..'`}},
		{name: "config map size", kind: "ConfigMap", create: "data: {a: " + strings.Repeat("x", corev1.MaxSecretSize+1) + "}", want: []string{
			`[]: Too long: may not be more than 1048576 bytes`}},
		{name: "immutable config map", kind: "ConfigMap", create: "immutable: true\ndata: {a: b}", update: "immutable: false\ndata: {a: c}\nbinaryData: {d: eA==}", want: []string{
			"immutable: Forbidden: field is immutable when `immutable` is set",
			"data: Forbidden: field is immutable when `immutable` is set",
			"binaryData: Forbidden: field is immutable when `immutable` is set"}},

		{name: "secret", kind: "Secret", create: "stringData: {a: b}"},
		{name: "secret key", kind: "Secret", create: "stringData: {a/b: b}", want: []string{`data[a/b]: Invalid value: "a/b": a valid config key`}},
		{name: "tls secret", kind: "Secret", create: "type: kubernetes.io/tls", want: []string{"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
		{name: "basic auth", kind: "Secret", create: "type: kubernetes.io/basic-auth", want: []string{"data[username]: Required value", "data[password]: Required value"}},
		{name: "basic auth with a password", kind: "Secret", create: "type: kubernetes.io/basic-auth\nstringData: {password: x}"},
		{name: "ssh auth", kind: "Secret", create: "type: kubernetes.io/ssh-auth", want: []string{"data[ssh-privatekey]: Required value"}},
		{name: "docker config", kind: "Secret", create: "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{'}", want: []string{
			`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input`}},
		{name: "old docker config", kind: "Secret", create: "type: kubernetes.io/dockercfg", want: []string{"data[.dockercfg]: Required value"}},
		{name: "token secret", kind: "Secret", create: "type: kubernetes.io/service-account-token", want: []string{
			"metadata.annotations[kubernetes.io/service-account.name]: Required value"}},
		{name: "secret's type", kind: "Secret", create: "type: a/b", update: "type: c/d", want: []string{`type: Invalid value: "c/d": field is immutable`}},
		{name: "immutable secret", kind: "Secret", create: "immutable: true\nstringData: {a: b}", update: "immutable: true\nstringData: {a: c}", want: []string{
			"data: Forbidden: field is immutable when `immutable` is set"}},

		{name: "node taints", kind: "Node", create: "spec: {taints: [{key: a, effect: Never}, {key: a}, {key: b, effect: NoSchedule, value: '?'}, {key: b, effect: NoSchedule}]}", want: []string{
			`spec.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
			"spec.taints[1].effect: Required value",
			`spec.taints[2].value: Invalid value: "?": a valid label`,
			`spec.taints[3]: Duplicate value: {"key":"b","effect":"NoSchedule"}: taints must be unique by key and effect pair`}},
		{name: "node's ranges", kind: "Node", create: "spec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24]}", want: []string{
			`spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family`}},
		{name: "node's range", kind: "Node", create: "spec: {podCIDR: ten}", want: []string{`spec.podCIDRs[0]: Invalid value: "ten": must be a valid CIDR`}},
		{name: "node gets its range", kind: "Node", create: "spec: {}", update: "spec: {podCIDR: 10.0.0.0/24}"},
		{name: "node changes its range", kind: "Node", create: "spec: {podCIDR: 10.0.0.0/24, providerID: a}", update: "spec: {podCIDR: 10.0.1.0/24, providerID: b}", want: []string{
			`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
			`spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`}},

		{name: "endpoints", kind: "Endpoints", create: "subsets: [{ports: [{port: 0}, {name: a, port: 80, protocol: X}]}, {addresses: [{ip: 127.0.0.1}, {ip: 169.254.1.1}, {ip: z}]}]", want: []string{
			"subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
			"subsets[0].ports[0].name: Required value",
			"subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
			`subsets[0].ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"`,
			`subsets[1].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
			`subsets[1].addresses[1].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)`,
			`subsets[1].addresses[2].ip: Invalid value: "z": must be a valid IP address`}},

		{name: "namespace finalizer", kind: "Namespace", create: "spec: {finalizers: [mine]}", want: []string{
			`spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`}},

		{name: "controller", kind: "ReplicationController", create: "spec: {replicas: -1, minReadySeconds: -1, selector: {a: b}, template: {metadata: {labels: {a: c}}, spec: {restartPolicy: Never, activeDeadlineSeconds: 1, containers: [{name: c, image: i}]}}}", want: []string{
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			"spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
			"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported"}},
		{name: "controller without template", kind: "ReplicationController", create: "spec: {}", want: []string{
			"spec.selector: Required value", "spec.template: Required value"}},

		{name: "event of another namespace", kind: "Event", create: "involvedObject: {kind: Pod, namespace: other}", want: []string{
			`involvedObject.namespace: Invalid value: "other": does not match event.namespace`}},
		{name: "event about a node", kind: "Event", create: "involvedObject: {kind: Node}"},
		{name: "event of the new style", kind: "Event", create: "involvedObject: {kind: Node}\neventTime: 2026-01-02T03:04:05.000000Z", want: []string{
			"reportingController: Required value", "reportingInstance: Required value", "action: Required value", "reason: Required value"}},
		{name: "service account", kind: "ServiceAccount", create: "secrets: [{name: a, namespace: b}]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx := context.Background()
			row := rowOf(t, test.kind)
			meta := "metadata: {name: x, namespace: default}\n"
			if row.ClusterScoped {
				meta = "metadata: {name: x}\n"
			}
			obj := decodeAny(t, "apiVersion: v1\nkind: "+test.kind+"\n"+meta+test.create)
			if row.PrepareForCreate != nil {
				row.PrepareForCreate(ctx, obj)
			}
			errs := row.Validate(ctx, obj)
			if test.update != "" {
				wantErrors(t, errs, nil)
				obj.(metav1.Object).SetResourceVersion("1")
				changed := decodeAny(t, "apiVersion: v1\nkind: "+test.kind+"\n"+meta+test.update)
				changed.(metav1.Object).SetResourceVersion("1")
				if row.PrepareForUpdate != nil {
					row.PrepareForUpdate(ctx, changed, obj)
				}
				errs = row.ValidateUpdate(ctx, changed, obj)
			}
			wantErrors(t, errs, test.want)
		})
	}
}

func decodeAny(t *testing.T, manifest string) runtime.Object {
	t.Helper()
	_, codecs := newTestScheme(t)
	obj, err := runtime.Decode(codecs.UniversalDecoder(corev1.SchemeGroupVersion), []byte(manifest))
	if err != nil {
		t.Fatalf("decoding %s: %v", manifest, err)
	}
	return obj
}

func TestServiceAccountKeepsOnlyNames(t *testing.T) {
	sa := &corev1.ServiceAccount{Secrets: []corev1.ObjectReference{{Name: "a", Namespace: "b", Kind: "c"}}}
	rowOf(t, "ServiceAccount").PrepareForCreate(context.Background(), sa)
	if (sa.Secrets[0] != corev1.ObjectReference{Name: "a"}) {
		t.Errorf("%+v", sa.Secrets)
	}
}

func TestNamespaceLife(t *testing.T) {
	ctx := context.Background()
	row := rowOf(t, "Namespace")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", ResourceVersion: "1"}}
	row.PrepareForCreate(ctx, ns)
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Labels["kubernetes.io/metadata.name"] != "team" {
		t.Errorf("new namespace %+v", ns)
	}
	bare := ns.DeepCopy()
	bare.Spec.Finalizers = nil
	row.PrepareForUpdate(ctx, bare, ns)
	if len(bare.Spec.Finalizers) != 1 {
		t.Error("an ordinary update took the finalizer away")
	}
	wrong := ns.DeepCopy()
	wrong.Status.Phase = corev1.NamespaceTerminating
	wantErrors(t, row.ValidateStatusUpdate(ctx, wrong, ns), []string{
		"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"})

	if row.DeleteOnUpdate(ctx, bare, ns) {
		t.Error("a living namespace is finished")
	}
	now := metav1.Now()
	ns.DeletionTimestamp = &now
	finished := ns.DeepCopy()
	finished.Spec.Finalizers = nil
	if row.DeleteOnUpdate(ctx, ns, ns) || !row.DeleteOnUpdate(ctx, finished, ns) {
		t.Error("a namespace is finished when its last finalizer goes, not before")
	}
	finished.Finalizers = []string{"a/b"}
	if row.DeleteOnUpdate(ctx, finished, ns) {
		t.Error("a finalizer of the metadata was ignored")
	}
}

func TestNodeStatusUpdate(t *testing.T) {
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1", ResourceVersion: "1"}}
	n := decode[corev1.Node](t, "apiVersion: v1\nkind: Node\nmetadata: {name: node1, resourceVersion: '1'}\nstatus: {capacity: {cpu: -1, pods: 0.5}, allocatable: {cpu: 1}, addresses: [{type: InternalIP, address: a}, {type: InternalIP, address: a}]}")
	wantErrors(t, ValidateNodeStatusUpdate(context.Background(), n, old), []string{
		`status.capacity[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
		`status.capacity[pods]: Invalid value: "500m": must be an integer`,
		`status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"a"}`})
}

func TestReplicationControllerStatusUpdate(t *testing.T) {
	old := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "default", ResourceVersion: "1"}}
	rc := old.DeepCopy()
	rc.Status = corev1.ReplicationControllerStatus{Replicas: 1, FullyLabeledReplicas: 2, ReadyReplicas: -1, AvailableReplicas: 0}
	wantErrors(t, ValidateReplicationControllerStatusUpdate(context.Background(), rc, old), []string{
		"status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
		"status.readyReplicas: Invalid value: -1: must be greater than or equal to 0",
		"status.availableReplicas: Invalid value: 0: cannot be greater than readyReplicas"})
}

// TestEventsGroupIsStricter checks that events.k8s.io holds clients to more than
// the core group does.
func TestEventsGroupIsStricter(t *testing.T) {
	event := decode[corev1.Event](t, "apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: default, resourceVersion: '1'}\ninvolvedObject: {kind: Node}\ncount: 3")
	wantErrors(t, ValidateEventCreate(context.Background(), event), nil)
	ctx := request.WithRequestInfo(context.Background(), &request.RequestInfo{APIGroup: eventsv1.GroupName})
	errs := ValidateEventCreate(ctx, event)
	for _, want := range []string{"eventTime", "reportingController", "reportingInstance", "action", "reason", "type", "deprecatedCount"} {
		if !hasField(errs, want) {
			t.Errorf("no error about %s in %v", want, errs.ToAggregate())
		}
	}
	changed := event.DeepCopy()
	changed.Message = "other"
	wantErrors(t, ValidateEventUpdate(context.Background(), changed, event), nil)
	wantErrors(t, ValidateEventUpdate(ctx, changed, event), []string{`message: Invalid value: "other": field is immutable`})
}

func hasField(errs field.ErrorList, name string) bool {
	for _, err := range errs {
		if err.Field == name {
			return true
		}
	}
	return false
}

func TestClaimTemplate(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{}
	SetDefaultsPersistentVolumeClaim(claim)
	wantErrors(t, ValidatePersistentVolumeClaimSpec(&claim.Spec, field.NewPath("spec")), []string{
		"spec.accessModes: Required value: at least 1 access mode is required", "spec.resources[storage]: Required value"})
}
