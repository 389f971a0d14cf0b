package serviceaccount

import (
	"time"

	"github.com/google/uuid"
	"gopkg.in/go-jose/go-jose.v2/jwt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// privateClaims is what a token says beyond RFC 7519.
type privateClaims struct {
	Kubernetes kubernetesClaims `json:"kubernetes.io"`
}

type kubernetesClaims struct {
	Namespace      string           `json:"namespace,omitempty"`
	Node           *objectRef       `json:"node,omitempty"`
	Pod            *objectRef       `json:"pod,omitempty"`
	Secret         *objectRef       `json:"secret,omitempty"`
	ServiceAccount objectRef        `json:"serviceaccount"`
	WarnAfter      *jwt.NumericDate `json:"warnafter,omitempty"`
}

type objectRef struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

func refTo(obj metav1.Object) *objectRef {
	return &objectRef{Name: obj.GetName(), UID: string(obj.GetUID())}
}

// binding is the object that a token dies with; at most one of Pod, Secret and
// Node is its owner, Node may accompany Pod.
type binding struct {
	Pod    *corev1.Pod
	Secret *corev1.Secret
	// Node of a pod may be known by name only, if it is not registered.
	Node *objectRef
}

// lifetime says how long a token lives and from when on its use is noted as
// stale; WarnAfter is zero for tokens that are refused at their expiry.
type lifetime struct {
	Now       time.Time
	Expires   time.Duration
	WarnAfter time.Duration
}

// makeClaims returns the claims of a new token for account.
func makeClaims(account *corev1.ServiceAccount, bound binding, life lifetime, issuer string, audiences []string) (jwt.Claims, privateClaims) {
	public := jwt.Claims{
		Issuer:    issuer,
		Subject:   serviceaccount.MakeUsername(account.Namespace, account.Name),
		Audience:  jwt.Audience(audiences),
		IssuedAt:  jwt.NewNumericDate(life.Now),
		NotBefore: jwt.NewNumericDate(life.Now),
		Expiry:    jwt.NewNumericDate(life.Now.Add(life.Expires)),
		ID:        uuid.NewString(),
	}
	private := privateClaims{Kubernetes: kubernetesClaims{
		Namespace:      account.Namespace,
		ServiceAccount: *refTo(account),
		Node:           bound.Node,
	}}
	if bound.Pod != nil {
		private.Kubernetes.Pod = refTo(bound.Pod)
	}
	if bound.Secret != nil {
		private.Kubernetes.Secret = refTo(bound.Secret)
	}
	if life.WarnAfter > 0 {
		private.Kubernetes.WarnAfter = jwt.NewNumericDate(life.Now.Add(life.WarnAfter))
	}
	return public, private
}

// legacyClaims are those of the tokens without expiry that live in Secrets of
// type kubernetes.io/service-account-token.
type legacyClaims struct {
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace"`
	Name       string `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID        string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	SecretName string `json:"kubernetes.io/serviceaccount/secret.name"`
}

// legacyIssuer is the fixed issuer of legacy tokens.
const legacyIssuer = "kubernetes/serviceaccount"
