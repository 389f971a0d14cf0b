package services

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestFamilies(t *testing.T) {
	v4, v6 := corev1.IPv4Protocol, corev1.IPv6Protocol
	single, dual := []corev1.IPFamily{v4}, []corev1.IPFamily{v4, v6}
	selector := map[string]string{"a": "b"}
	for name, test := range map[string]struct {
		cluster []corev1.IPFamily
		spec    corev1.ServiceSpec
		want    string // policy and families
		err     string
	}{
		"default":                      {single, corev1.ServiceSpec{Selector: selector}, "SingleStack [IPv4]", ""},
		"default of dual":              {dual, corev1.ServiceSpec{Selector: selector}, "SingleStack [IPv4]", ""},
		"prefer dual on single":        {single, corev1.ServiceSpec{IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyPreferDualStack)}, "PreferDualStack [IPv4]", ""},
		"prefer dual on dual":          {dual, corev1.ServiceSpec{IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyPreferDualStack)}, "PreferDualStack [IPv4 IPv6]", ""},
		"v6 first":                     {dual, corev1.ServiceSpec{IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyRequireDualStack), IPFamilies: []corev1.IPFamily{v6}}, "RequireDualStack [IPv6 IPv4]", ""},
		"require dual on single":       {single, corev1.ServiceSpec{IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyRequireDualStack)}, "", "this cluster is not configured for dual-stack services"},
		"v6 on single":                 {single, corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{v6}}, "", "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"},
		"by address":                   {dual, corev1.ServiceSpec{ClusterIPs: []string{"fd00::5"}}, "SingleStack [IPv6]", ""},
		"by two addresses":             {dual, corev1.ServiceSpec{ClusterIPs: []string{"fd00::5", "10.0.0.5"}}, "RequireDualStack [IPv6 IPv4]", ""},
		"headless":                     {single, corev1.ServiceSpec{ClusterIP: "None", Selector: selector}, "SingleStack [IPv4]", ""},
		"headless without selector":    {single, corev1.ServiceSpec{ClusterIP: "None"}, "RequireDualStack [IPv4 IPv6]", ""},
		"external name has no address": {single, corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}, "<nil> []", ""},
	} {
		s := &corev1.Service{Spec: test.spec}
		errs := setFamilies(s, nil, test.cluster)
		if test.err != "" {
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), test.err) {
				t.Errorf("%s: got %v, want %s", name, errs, test.err)
			}
			continue
		}
		policy := "<nil>"
		if s.Spec.IPFamilyPolicy != nil {
			policy = string(*s.Spec.IPFamilyPolicy)
		}
		if got := fmt.Sprint(policy, " ", s.Spec.IPFamilies); got != test.want || len(errs) > 0 {
			t.Errorf("%s: got %s, %v, want %s", name, got, errs, test.want)
		}
	}
}

func TestFamiliesOfAnUpdate(t *testing.T) {
	dual := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	old := &corev1.Service{Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.5", ClusterIPs: []string{"10.0.0.5", "fd00::5"},
		IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyPreferDualStack), IPFamilies: dual,
	}}
	omitted := old.DeepCopy()
	omitted.Spec.IPFamilies, omitted.Spec.IPFamilyPolicy = nil, nil
	if errs := setFamilies(omitted, old, dual); len(errs) > 0 || len(omitted.Spec.IPFamilies) != 2 {
		t.Errorf("an update that says nothing: %v, %v", omitted.Spec.IPFamilies, errs)
	}
	downgraded := old.DeepCopy()
	downgraded.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	if errs := setFamilies(downgraded, old, dual); len(errs) > 0 || len(downgraded.Spec.IPFamilies) != 1 || len(downgraded.Spec.ClusterIPs) != 1 {
		t.Errorf("a downgrade: %+v, %v", downgraded.Spec, errs)
	}
}
