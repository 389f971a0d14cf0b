package replicaset

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStatus(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pod := func(readyFor time.Duration, labels map[string]string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
		if readyFor >= 0 {
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-readyFor)),
			}}
		}
		return p
	}
	full := map[string]string{"app": "web", "tier": "front"}
	set := Set{
		Replicas: 3, MinReadySeconds: 10,
		Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: full}},
	}
	pods := []*corev1.Pod{pod(time.Minute, full), pod(5*time.Second, full), pod(-1, map[string]string{"app": "web"})}
	got := Status(set, 7, pods, pods[:1], nil, now)
	if got.Replicas != 3 || got.ReadyReplicas != 2 || got.AvailableReplicas != 1 || got.FullyLabeledReplicas != 2 ||
		*got.TerminatingReplicas != 1 || got.ObservedGeneration != 7 || len(got.Conditions) != 0 {
		t.Errorf("%+v", got)
	}

	got = Status(set, 7, pods[:1], nil, errors.New("exceeded quota"), now)
	if len(got.Conditions) != 1 || got.Conditions[0].Reason != "FailedCreate" || got.Conditions[0].Message != "exceeded quota" {
		t.Errorf("conditions %+v", got.Conditions)
	}
	set.Status = got
	if again := Status(set, 7, pods[:1], nil, errors.New("another"), now.Add(time.Hour)); again.Conditions[0] != got.Conditions[0] {
		t.Errorf("the condition of a lasting failure moves: %+v", again.Conditions)
	}
	if over := Status(set, 7, pods, nil, nil, now); len(over.Conditions) != 0 {
		t.Errorf("the condition outlives the failure: %+v", over.Conditions)
	}
	set.Status.Conditions, set.Replicas = nil, 1
	if got = Status(set, 7, pods, nil, errors.New("no"), now); got.Conditions[0].Reason != "FailedDelete" {
		t.Errorf("reason %s", got.Conditions[0].Reason)
	}
}
