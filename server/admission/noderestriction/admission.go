// Package noderestriction keeps a node agent from writing anything but what is
// its own: its Node and Lease, the status and eviction of pods bound to it, the
// mirrors of its static pods, and tokens for those pods (KEP-279, KEP-4412).
//
// Authorization lets all nodes do such things; this plugin looks into the
// objects and lets each do them for itself only.
package noderestriction

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
)

// PluginName is the name in --enable-admission-plugins.
const PluginName = "NodeRestriction"

const nodeUserPrefix = "system:node:"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin is the admission plugin. It changes nothing, but it runs among the
// mutating ones, as upstream's does, so that nothing is done for a node that is
// going to be refused.
type Plugin struct {
	*admission.Handler
	client     kubernetes.Interface
	authorizer authorizer.UnconditionalAuthorizer
}

var (
	_ admission.MutationInterface              = &Plugin{}
	_ initializer.WantsExternalKubeClientSet   = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer = &Plugin{}
)

// New returns the plugin; the server's initializers give it what it needs.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) { p.client = client }

// SetUnconditionalAuthorizer implements initializer.WantsUnconditionalAuthorizer.
func (p *Plugin) SetUnconditionalAuthorizer(a authorizer.UnconditionalAuthorizer) { p.authorizer = a }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.client == nil || p.authorizer == nil {
		return fmt.Errorf("%s requires a client and an authorizer", PluginName)
	}
	return nil
}

// Admit refuses what a node may not do. Other users are none of its business.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	node, isNode := nodeOf(a.GetUserInfo())
	if !isNode {
		return nil
	}
	if node == "" {
		return admission.NewForbidden(a, fmt.Errorf("could not determine node from user %q", a.GetUserInfo().GetName()))
	}
	check := p.checkFor(a)
	if check == nil {
		return nil
	}
	err := check(ctx, a, node)
	if _, isStatus := err.(apierrors.APIStatus); err == nil || isStatus {
		return err
	}
	return admission.NewForbidden(a, err)
}

type check func(ctx context.Context, a admission.Attributes, node string) error

func (p *Plugin) checkFor(a admission.Attributes) check {
	switch a.GetResource().GroupResource() {
	case corev1.Resource("pods"):
		switch a.GetSubresource() {
		case "":
			return p.pod
		case "status":
			return p.podStatus
		case "eviction":
			return p.podEviction
		}
		return unexpectedPodSubresource
	case corev1.Resource("nodes"):
		return checkNode
	case corev1.Resource("serviceaccounts"):
		if a.GetSubresource() == "token" {
			return p.token
		}
	case coordinationv1.Resource("leases"):
		return checkLease
	}
	return nil
}

// nodeOf returns the name of the node that a user is, if he is a node at all.
func nodeOf(u user.Info) (name string, isNode bool) {
	if u == nil || !slices.Contains(u.GetGroups(), user.NodesGroup) {
		return "", false
	}
	name, ok := strings.CutPrefix(u.GetName(), nodeUserPrefix)
	if !ok {
		// Not named as a node: as upstream, no node identity and no rule for it.
		return "", false
	}
	return name, true
}

func unexpectedPodSubresource(_ context.Context, a admission.Attributes, _ string) error {
	return fmt.Errorf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
}

func (p *Plugin) pod(ctx context.Context, a admission.Attributes, node string) error {
	switch a.GetOperation() {
	case admission.Create:
		return p.createPod(ctx, a, node)
	case admission.Delete:
		pod, err := p.livePod(ctx, a.GetNamespace(), a.GetName())
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != node {
			return fmt.Errorf("node %q can only delete pods with spec.nodeName set to itself", node)
		}
		return nil
	}
	return fmt.Errorf("unexpected operation %q, node %q can only create and delete mirror pods", a.GetOperation(), node)
}

func (p *Plugin) createPod(ctx context.Context, a admission.Attributes, node string) error {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return unexpectedType(a)
	}
	if err := checkMirror(pod, node); err != nil {
		return err
	}
	// The owner must be this very Node, not one that had its name.
	owner, err := p.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		owner, err = p.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	if owner.UID != pod.OwnerReferences[0].UID {
		return fmt.Errorf("node %s UID mismatch: expected %s got %s", node, pod.OwnerReferences[0].UID, owner.UID)
	}
	return nil
}

func (p *Plugin) podStatus(_ context.Context, a admission.Attributes, node string) error {
	if a.GetOperation() != admission.Update {
		return fmt.Errorf("unexpected operation %q", a.GetOperation())
	}
	old, ok := a.GetOldObject().(*corev1.Pod)
	if !ok {
		return unexpectedType(a)
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return unexpectedType(a)
	}
	return checkPodStatus(pod, old, node)
}

func (p *Plugin) podEviction(ctx context.Context, a admission.Attributes, node string) error {
	if a.GetOperation() != admission.Create {
		return fmt.Errorf("unexpected operation %s", a.GetOperation())
	}
	name := a.GetName()
	if eviction, ok := a.GetObject().(*policyv1.Eviction); name == "" && ok {
		name = eviction.Name
	}
	if name == "" {
		return fmt.Errorf("could not determine pod from request data")
	}
	pod, err := p.livePod(ctx, a.GetNamespace(), name)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != node {
		return fmt.Errorf("node %s can only evict pods with spec.nodeName set to itself", node)
	}
	return nil
}

// token allows tokens for the pods of the node only.
func (p *Plugin) token(ctx context.Context, a admission.Attributes, node string) error {
	if a.GetOperation() != admission.Create {
		return nil
	}
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return unexpectedType(a)
	}
	ref := request.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return fmt.Errorf("node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return fmt.Errorf("node requested token with a pod binding without a uid")
	}
	pod, err := p.livePod(ctx, a.GetNamespace(), ref.Name)
	if err != nil {
		return err
	}
	if ref.UID != pod.UID {
		return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	}
	if pod.Spec.NodeName != node {
		return fmt.Errorf("node requested token bound to a pod scheduled on a different node")
	}
	return p.audience(ctx, a, pod, request.Spec.Audiences, node)
}

// audience allows the audiences that the pod's volumes name, and others if a rule
// says so. No audience means the API server's, which any token volume may have.
func (p *Plugin) audience(ctx context.Context, a admission.Attributes, pod *corev1.Pod, audiences []string, node string) error {
	if len(audiences) > 1 {
		return fmt.Errorf("node may only request 0 or 1 audiences")
	}
	audience := ""
	if len(audiences) == 1 {
		audience = audiences[0]
	}
	if usesAudience(&pod.Spec, audience) {
		return nil
	}
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: "request-serviceaccounts-token-audience",
		Namespace: a.GetNamespace(), APIGroup: "", APIVersion: "v1",
		Resource: audience, Name: a.GetName(), ResourceRequest: true,
	})
	if err == nil && decision == authorizer.DecisionAllow {
		return nil
	}
	return fmt.Errorf("audience %q not found in pod spec volume, %s%s is not authorized to request tokens for this audience", audience, nodeUserPrefix, node)
}

// livePod reads a pod from the watch cache, and from etcd when it is not there
// yet.
func (p *Plugin) livePod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := p.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		pod, err = p.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return pod, err
}

func unexpectedType(a admission.Attributes) error {
	return fmt.Errorf("unexpected type %T", a.GetObject())
}
