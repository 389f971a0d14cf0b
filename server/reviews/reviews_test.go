package reviews_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func clientOf(t *testing.T, env *testenv.Env, user string, groups ...string) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(env.ConfigFor(user, groups...))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestWhoAmI(t *testing.T) {
	env := testenv.Shared(t)
	got, err := clientOf(t, env, "ann", "team").AuthenticationV1().SelfSubjectReviews().Create(t.Context(),
		&authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || got.Status.UserInfo.Username != "ann" || !slices.Equal(got.Status.UserInfo.Groups, []string{"team", "system:authenticated"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTokenReview(t *testing.T) {
	env := testenv.Shared(t)
	reviews := env.Client.AuthenticationV1().TokenReviews()
	if _, err := reviews.Create(t.Context(), &authenticationv1.TokenReview{}, metav1.CreateOptions{}); !apierrors.IsBadRequest(err) || err.Error() != "token is required for TokenReview in authentication" {
		t.Errorf("without a token: %v", err)
	}
	got, err := reviews.Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: env.ConfigFor("ann").BearerToken},
	}, metav1.CreateOptions{})
	if err != nil || !got.Status.Authenticated || got.Status.User.Username != "ann" || len(got.Status.Audiences) == 0 {
		t.Errorf("got %+v, %v", got.Status, err)
	}
	got, err = reviews.Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: env.ConfigFor("ann").BearerToken, Audiences: []string{"somebody-else"}},
	}, metav1.CreateOptions{})
	if err != nil || got.Status.Authenticated {
		t.Errorf("a token of another audience: %+v, %v", got.Status, err)
	}
}

func TestAccessReviews(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.AuthorizationV1()
	pods := &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", Namespace: "default"}
	for name, test := range map[string]struct {
		spec authorizationv1.SubjectAccessReviewSpec
		want string
	}{
		"a scheduler":       {authorizationv1.SubjectAccessReviewSpec{User: "system:kube-scheduler", ResourceAttributes: pods}, "true"},
		"nobody":            {authorizationv1.SubjectAccessReviewSpec{User: "nobody", ResourceAttributes: pods}, "false"},
		"masters":           {authorizationv1.SubjectAccessReviewSpec{Groups: []string{"system:masters"}, ResourceAttributes: pods}, "true"},
		"health for anyone": {authorizationv1.SubjectAccessReviewSpec{Groups: []string{"system:authenticated"}, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/healthz"}}, "true"},
		"no subject":        {authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: pods}, "at least one of user or group must be specified"},
		"no question":       {authorizationv1.SubjectAccessReviewSpec{User: "ann"}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"},
		"two questions":     {authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: pods, NonResourceAttributes: &authorizationv1.NonResourceAttributes{}}, "cannot be specified in combination with resourceAttributes"},
	} {
		got, err := api.SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: test.spec}, metav1.CreateOptions{})
		text := fmt.Sprint(err)
		if err == nil {
			text = fmt.Sprint(got.Status.Allowed)
		}
		if !strings.Contains(text, test.want) {
			t.Errorf("%s: got %s, want %s", name, text, test.want)
		}
	}
	local, err := api.LocalSubjectAccessReviews("default").Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default"},
		Spec:       authorizationv1.SubjectAccessReviewSpec{User: "system:kube-scheduler", ResourceAttributes: pods},
	}, metav1.CreateOptions{})
	if err != nil || !local.Status.Allowed {
		t.Errorf("got %+v, %v", local, err)
	}
	elsewhere := pods.DeepCopy()
	elsewhere.Namespace = "kube-system"
	_, err = api.LocalSubjectAccessReviews("default").Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default"},
		Spec:       authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: elsewhere},
	}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("a local review of another namespace: %v", err)
	}
}

// Test that questions that break the rules of their kinds are refused, with the
// codes of Kubernetes.
func TestBadQuestions(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.AuthorizationV1()
	_, err := api.SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{}, metav1.CreateOptions{})
	if !apierrors.IsBadRequest(err) || err.Error() != "no namespace on request" {
		t.Errorf("rules of no namespace: %v", err)
	}
	_, err = api.SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "exactly one of nonResourceAttributes or resourceAttributes must be specified") {
		t.Errorf("may I do nothing: %v", err)
	}
	_, err = api.SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Name: "named"},
		Spec:       authorizationv1.SubjectAccessReviewSpec{User: "ann", NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/", Verb: "get"}},
	}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata: Invalid value") {
		t.Errorf("a question with a name: %v", err)
	}
}

// Test what kubectl auth can-i asks.
func TestSelfReviews(t *testing.T) {
	env := testenv.Shared(t)
	for user, want := range map[string]bool{"ann": false, "system:kube-scheduler": true} {
		api := clientOf(t, env, user).AuthorizationV1()
		got, err := api.SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "binding", Namespace: "default"}},
		}, metav1.CreateOptions{})
		if err != nil || got.Status.Allowed != want {
			t.Errorf("%s: got %+v, %v", user, got, err)
		}
		rules, err := api.SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
			Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		binds := slices.ContainsFunc(rules.Status.ResourceRules, func(r authorizationv1.ResourceRule) bool {
			return slices.Contains(r.Resources, "pods/binding")
		})
		if binds != want || len(rules.Status.NonResourceRules) == 0 {
			t.Errorf("%s: got rules %+v", user, rules.Status)
		}
	}
}
