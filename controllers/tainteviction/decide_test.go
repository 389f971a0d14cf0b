package tainteviction

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/ptr"
)

func TestDeadline(t *testing.T) {
	logger, _ := ktesting.NewTestContext(t)
	added := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	since := added.Add(time.Hour)
	lost := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &metav1.Time{Time: added}}
	timeless := corev1.Taint{Key: "drain", Effect: corev1.TaintEffectNoExecute}
	tolerate := func(key string, seconds *int64) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: seconds}
	}
	for _, test := range []struct {
		name        string
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		at          time.Time
		due         bool
	}{
		{"no taint", nil, nil, time.Time{}, false},
		{"NoSchedule drives nobody off", []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}, nil, time.Time{}, false},
		{"not tolerated", []corev1.Taint{lost}, nil, time.Time{}, true},
		{"tolerated for ever", []corev1.Taint{lost}, []corev1.Toleration{tolerate(lost.Key, nil)}, time.Time{}, false},
		{"tolerated for a while", []corev1.Taint{lost}, []corev1.Toleration{tolerate(lost.Key, ptr.To[int64](300))}, added.Add(5 * time.Minute), true},
		{"the shorter of two", []corev1.Taint{lost}, []corev1.Toleration{tolerate(lost.Key, nil), tolerate("", ptr.To[int64](10))}, added.Add(10 * time.Second), true},
		{"a taint without time", []corev1.Taint{timeless}, []corev1.Toleration{tolerate("drain", ptr.To[int64](60))}, since.Add(time.Minute), true},
		{"the earlier of two taints", []corev1.Taint{timeless, lost}, []corev1.Toleration{tolerate("", ptr.To[int64](60))}, added.Add(time.Minute), true},
		{"one of two is not tolerated", []corev1.Taint{lost, timeless}, []corev1.Toleration{tolerate(lost.Key, nil)}, time.Time{}, true},
		{"negative seconds mean none", []corev1.Taint{lost}, []corev1.Toleration{tolerate(lost.Key, ptr.To[int64](-5))}, added, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, due := Deadline(logger, test.taints, test.tolerations, since)
			if due != test.due || !at.Equal(test.at) {
				t.Errorf("%s, %t; want %s, %t", at, due, test.at, test.due)
			}
		})
	}
}
