package noderestriction

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

var (
	mine   = &user.DefaultInfo{Name: "system:node:me", Groups: []string{user.NodesGroup}}
	pods   = corev1.SchemeGroupVersion.WithResource("pods")
	nodes  = corev1.SchemeGroupVersion.WithResource("nodes")
	leases = coordinationv1.SchemeGroupVersion.WithResource("leases")
	tokens = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
)

func boundPod(name, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name + "-uid")},
		Spec:       corev1.PodSpec{NodeName: node},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func mirror(change ...func(*corev1.Pod)) *corev1.Pod {
	return boundPod("m", "me", append([]func(*corev1.Pod){func(p *corev1.Pod) {
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "me", UID: "me-uid", Controller: ptr.To(true)}}
	}}, change...)...)
}

func node(name string, labels map[string]string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), Labels: labels}}
	for _, f := range change {
		f(n)
	}
	return n
}

func token(pod string, change ...func(*authenticationv1.TokenRequestSpec)) *authenticationv1.TokenRequest {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: types.UID(pod + "-uid")},
	}}
	for _, f := range change {
		f(&r.Spec)
	}
	return r
}

func lease(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func TestAdmit(t *testing.T) {
	withToken := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}},
		}}}}}
	}
	client := fake.NewClientset(
		node("me", nil), node("other", nil),
		boundPod("mine", "me", withToken), boundPod("theirs", "other", withToken), boundPod("free", ""),
	)
	secretVolume := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}}
	}
	labelled := func(key string) map[string]string { return map[string]string{key: "x"} }
	create, update, remove := admission.Create, admission.Update, admission.Delete
	tainted := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"}}
	}

	for _, tc := range []struct {
		name        string
		who         user.Info
		resource    schema.GroupVersionResource
		subresource string
		operation   admission.Operation
		namespace   string
		object      string // name in the URL
		obj, old    runtime.Object
		err         string
	}{
		{name: "not a node", who: &user.DefaultInfo{Name: "ann"}, resource: pods, operation: remove, namespace: "ns", object: "theirs"},
		{name: "a node's name without its group", who: &user.DefaultInfo{Name: "system:node:me"}, resource: nodes, operation: update, object: "other", obj: node("other", nil), old: node("other", nil)},
		{name: "a nameless node", who: &user.DefaultInfo{Name: "system:node:", Groups: []string{user.NodesGroup}}, resource: pods, operation: remove, namespace: "ns", object: "mine",
			err: `could not determine node from user "system:node:"`},

		{name: "mirror pod", resource: pods, operation: create, namespace: "ns", obj: mirror()},
		{name: "normal pod", resource: pods, operation: create, namespace: "ns", obj: boundPod("p", "me"),
			err: `pod does not have "kubernetes.io/config.mirror" annotation, node "me" can only create mirror pods`},
		{name: "mirror elsewhere", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.Spec.NodeName = "other" }),
			err: `node "me" can only create pods with spec.nodeName set to itself`},
		{name: "mirror without owner", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences = nil }),
			err: `node "me" can only create pods with an owner reference set to itself`},
		{name: "mirror with two owners", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences[0]) }),
			err: `node "me" can only create pods with a single owner reference set to itself`},
		{name: "mirror of another node", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences[0].Name = "other" }),
			err: `node "me" can only create pods with an owner reference set to itself`},
		{name: "mirror of a former node", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "former" }),
			err: `node me UID mismatch: expected former got me-uid`},
		{name: "mirror with secret", resource: pods, operation: create, namespace: "ns", obj: mirror(secretVolume), err: `node "me" can not create pods that reference secrets`},
		{name: "mirror with account", resource: pods, operation: create, namespace: "ns", obj: mirror(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }),
			err: `node "me" can not create pods that reference a service account`},
		{name: "mirror with token", resource: pods, operation: create, namespace: "ns", obj: mirror(withToken), err: `node "me" can not create pods that reference`},

		{name: "delete own pod", resource: pods, operation: remove, namespace: "ns", object: "mine"},
		{name: "delete another's pod", resource: pods, operation: remove, namespace: "ns", object: "theirs", err: `node "me" can only delete pods with spec.nodeName set to itself`},
		{name: "delete an unbound pod", resource: pods, operation: remove, namespace: "ns", object: "free", err: `node "me" can only delete pods with spec.nodeName set to itself`},
		{name: "delete a missing pod", resource: pods, operation: remove, namespace: "ns", object: "none", err: `pods "none" not found`},
		{name: "update own pod", resource: pods, operation: update, namespace: "ns", object: "mine", obj: boundPod("mine", "me"), old: boundPod("mine", "me"),
			err: `unexpected operation "UPDATE", node "me" can only create and delete mirror pods`},
		{name: "exec", resource: pods, subresource: "exec", operation: admission.Connect, namespace: "ns", object: "mine", err: `unexpected pod subresource "exec", only 'status' and 'eviction' are allowed`},

		{name: "own status", resource: pods, subresource: "status", operation: update, namespace: "ns", object: "mine", obj: boundPod("mine", "me"), old: boundPod("mine", "me")},
		{name: "another's status", resource: pods, subresource: "status", operation: update, namespace: "ns", object: "theirs", obj: boundPod("theirs", "other"), old: boundPod("theirs", "other"),
			err: `node "me" can only update pod status for pods with spec.nodeName set to itself`},
		{name: "labels through status", resource: pods, subresource: "status", operation: update, namespace: "ns", object: "mine",
			obj: boundPod("mine", "me", func(p *corev1.Pod) { p.Labels = labelled("app") }), old: boundPod("mine", "me"), err: `node "me" cannot update labels through pod status`},
		{name: "evict own", resource: pods, subresource: "eviction", operation: create, namespace: "ns", object: "mine", obj: &policyv1.Eviction{}},
		{name: "evict another's", resource: pods, subresource: "eviction", operation: create, namespace: "ns", object: "theirs", obj: &policyv1.Eviction{},
			err: `node me can only evict pods with spec.nodeName set to itself`},

		{name: "register", resource: nodes, operation: create, obj: node("me", map[string]string{"kubernetes.io/hostname": "me", "node.kubernetes.io/x": "", "kubelet.kubernetes.io/x": "", "example.com/x": "", "plain": ""}, tainted)},
		{name: "register another", resource: nodes, operation: create, obj: node("other", nil), err: `node "me" is not allowed to modify node "other"`},
		{name: "register with a role", resource: nodes, operation: create, obj: node("me", labelled("node-role.kubernetes.io/control-plane")),
			err: `node "me" is not allowed to set the following labels: node-role.kubernetes.io/control-plane`},
		{name: "register isolated", resource: nodes, operation: create, obj: node("me", labelled("pci.node-restriction.kubernetes.io/zone")),
			err: `node "me" is not allowed to set the following labels: pci.node-restriction.kubernetes.io/zone`},
		{name: "label itself", resource: nodes, operation: update, object: "me", obj: node("me", labelled("app")), old: node("me", nil)},
		{name: "give itself a restricted label", resource: nodes, operation: update, object: "me", obj: node("me", labelled("node-restriction.kubernetes.io/x")), old: node("me", nil),
			err: `is not allowed to modify labels: node-restriction.kubernetes.io/x`},
		{name: "drop a restricted label", resource: nodes, operation: update, object: "me", obj: node("me", nil), old: node("me", labelled("node-restriction.kubernetes.io/x")),
			err: `is not allowed to modify labels: node-restriction.kubernetes.io/x`},
		{name: "keep a restricted label", resource: nodes, operation: update, object: "me", obj: node("me", labelled("node-restriction.kubernetes.io/x")), old: node("me", labelled("node-restriction.kubernetes.io/x"))},
		{name: "untaint itself", resource: nodes, operation: update, object: "me", obj: node("me", nil), old: node("me", nil, tainted), err: `node "me" is not allowed to modify taints`},
		{name: "change its owner", resource: nodes, operation: update, object: "me", obj: node("me", nil, func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{}} }), old: node("me", nil),
			err: `node "me" is not allowed to modify ownerReferences`},
		{name: "own node status", resource: nodes, subresource: "status", operation: update, object: "me", obj: node("me", nil), old: node("me", nil)},
		{name: "another's node status", resource: nodes, subresource: "status", operation: update, object: "other", obj: node("other", nil), old: node("other", nil),
			err: `node "me" is not allowed to modify node "other"`},
		{name: "delete another node", resource: nodes, operation: remove, object: "other", err: `node "me" is not allowed to modify node "other"`},

		{name: "token for own pod", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine")},
		{name: "token for a volume's audience", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"vault"} })},
		{name: "token for another audience", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"bank"} }),
			err: `audience "bank" not found in pod spec volume, system:node:me is not authorized to request tokens for this audience`},
		{name: "token for an audience that a rule allows", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"allowed"} })},
		{name: "token for two audiences", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"vault", "bank"} }),
			err: `node may only request 0 or 1 audiences`},
		{name: "token for another's pod", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("theirs"),
			err: `node requested token bound to a pod scheduled on a different node`},
		{name: "token for a former pod", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef.UID = "former" }),
			err: `the UID in the bound object reference (former) does not match the UID in record`},
		{name: "token without uid", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef.UID = "" }),
			err: `node requested token with a pod binding without a uid`},
		{name: "unbound token", resource: tokens, subresource: "token", operation: create, namespace: "ns", object: "default", obj: token("mine", func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef = nil }),
			err: `node requested token not bound to a pod`},

		{name: "own lease", resource: leases, operation: create, namespace: "kube-node-lease", obj: lease("me")},
		{name: "renew own lease", resource: leases, operation: update, namespace: "kube-node-lease", object: "me", obj: lease("me")},
		{name: "another's lease", resource: leases, operation: update, namespace: "kube-node-lease", object: "other", obj: lease("other"), err: `can only access node lease with the same name as the requesting node`},
		{name: "leader's lease", resource: leases, operation: update, namespace: "kube-system", object: "me", obj: lease("me"), err: `can only access leases in the "kube-node-lease" system namespace`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := New()
			p.SetExternalKubeClientSet(client)
			p.SetUnconditionalAuthorizer(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				if a.GetVerb() == "request-serviceaccounts-token-audience" && a.GetResource() == "allowed" {
					return authorizer.DecisionAllow, "", nil
				}
				return authorizer.DecisionNoOpinion, "", nil
			}))
			if err := p.ValidateInitialization(); err != nil {
				t.Fatal(err)
			}
			who := tc.who
			if who == nil {
				who = mine
			}
			err := p.Admit(context.Background(), admission.NewAttributesRecord(tc.obj, tc.old, schema.GroupVersionKind{}, tc.namespace, tc.object, tc.resource, tc.subresource, tc.operation, nil, false, who), nil)
			switch {
			case tc.err == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got %v, want %q", err, tc.err)
			case tc.err != "" && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
				t.Errorf("%v is neither Forbidden nor NotFound", err)
			}
		})
	}
}
