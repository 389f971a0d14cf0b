package plugins_test

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/plugins/prioritysort"
)

// sortAndBind is what every profile must have and these tests do not look at.
type sortAndBind struct{ prioritysort.Plugin }

func (sortAndBind) Bind(context.Context, fwk.CycleState, *corev1.Pod, string) *fwk.Status { return nil }
