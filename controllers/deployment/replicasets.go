package deployment

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"sort"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

const (
	// RevisionAnnotation numbers the template versions, on Deployment and ReplicaSet.
	RevisionAnnotation = "deployment.kubernetes.io/revision"
	// RevisionHistoryAnnotation lists the earlier revisions of a ReplicaSet that was rolled back to.
	RevisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	// DesiredReplicasAnnotation is the Deployment's spec.replicas when the ReplicaSet was scaled last.
	DesiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	// MaxReplicasAnnotation is desired-replicas plus the surge allowed at that time.
	MaxReplicasAnnotation = "deployment.kubernetes.io/max-replicas"

	deprecatedRollbackTo = "deprecated.deployment.rollback.to"
	maxRevisionHistory   = 2000 // characters of RevisionHistoryAnnotation
)

// TemplateHash returns the value of label pod-template-hash for a template. The
// count of collisions makes another one where the name is taken.
func TemplateHash(template *corev1.PodTemplateSpec, collisions *int32) (string, error) {
	encoded, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("encoding pod template: %w", err)
	}
	h := fnv.New32a()
	h.Write(encoded)
	if collisions != nil {
		fmt.Fprintf(h, "/%d", *collisions)
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10)), nil
}

// SameTemplate compares templates but for label pod-template-hash.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	return equality.Semantic.DeepEqual(withoutHash(a), withoutHash(b))
}

func withoutHash(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	if _, ok := t.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; !ok {
		return t
	}
	out := *t
	out.Labels = maps.Clone(t.Labels)
	delete(out.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return &out
}

// Split divides the ReplicaSets into the one of the current template (nil if
// there is none yet) and the old ones. Of several equal ones the oldest counts,
// so that all passes agree.
func Split(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) {
	for _, rs := range byAge(sets) {
		if current == nil && SameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			current = rs
			continue
		}
		old = append(old, rs)
	}
	return current, old
}

// byAge returns the sets, oldest first.
func byAge(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	out := append([]*appsv1.ReplicaSet(nil), sets...)
	sort.Slice(out, func(i, j int) bool { return older(out[i], out[j]) })
	return out
}

func older(a, b *appsv1.ReplicaSet) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

func replicasOf(rs *appsv1.ReplicaSet) int32 {
	if rs == nil {
		return 0
	}
	return ptr.Deref(rs.Spec.Replicas, 1)
}

func desired(d *appsv1.Deployment) int32 { return ptr.Deref(d.Spec.Replicas, 1) }

// sum adds up a count over sets; nil sets count nothing.
func sum(sets []*appsv1.ReplicaSet, of func(*appsv1.ReplicaSet) int32) int32 {
	var total int32
	for _, rs := range sets {
		if rs != nil {
			total += of(rs)
		}
	}
	return total
}

func actual(rs *appsv1.ReplicaSet) int32    { return rs.Status.Replicas }
func available(rs *appsv1.ReplicaSet) int32 { return rs.Status.AvailableReplicas }
func ready(rs *appsv1.ReplicaSet) int32     { return rs.Status.ReadyReplicas }

// active returns the sets that ask for pods.
func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var out []*appsv1.ReplicaSet
	for _, rs := range sets {
		if replicasOf(rs) > 0 {
			out = append(out, rs)
		}
	}
	return out
}

// with appends the current set, if there is one, to the old ones.
func with(old []*appsv1.ReplicaSet, current *appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	out := append([]*appsv1.ReplicaSet(nil), old...)
	if current != nil {
		out = append(out, current)
	}
	return out
}

// Revision returns the number in RevisionAnnotation, 0 if there is none.
func Revision(annotations map[string]string) int64 {
	n, err := strconv.ParseInt(annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func maxRevision(sets []*appsv1.ReplicaSet) int64 {
	var highest int64
	for _, rs := range sets {
		highest = max(highest, Revision(rs.Annotations))
	}
	return highest
}

// inherited returns the Deployment's annotations that its ReplicaSets carry too.
func inherited(d *appsv1.Deployment) map[string]string {
	out := make(map[string]string, len(d.Annotations))
	for k, v := range d.Annotations {
		switch k {
		case corev1.LastAppliedConfigAnnotation, RevisionAnnotation, RevisionHistoryAnnotation,
			DesiredReplicasAnnotation, MaxReplicasAnnotation, deprecatedRollbackTo:
		default:
			out[k] = v
		}
	}
	return out
}

// annotate returns the annotations that the ReplicaSet of the current template
// should have at that revision: those of the Deployment, the revision, and the
// history of revisions if it had an earlier one.
func annotate(d *appsv1.Deployment, have map[string]string, revision int64) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = make(map[string]string)
	}
	maps.Copy(out, inherited(d))
	previous := have[RevisionAnnotation]
	if Revision(have) >= revision {
		return out
	}
	out[RevisionAnnotation] = strconv.FormatInt(revision, 10)
	if previous != "" {
		out[RevisionHistoryAnnotation] = appendHistory(have[RevisionHistoryAnnotation], previous)
	}
	return out
}

// appendHistory adds a revision to a comma-separated list and drops the oldest
// ones when it grows too long.
func appendHistory(list, revision string) string {
	var revisions []string
	if list != "" {
		revisions = strings.Split(list, ",")
	}
	revisions = append(revisions, revision)
	for len(revisions) > 1 && len(strings.Join(revisions, ",")) > maxRevisionHistory {
		revisions = revisions[1:]
	}
	return strings.Join(revisions, ",")
}

// annotateSize returns the annotations with the size that proportional scaling
// will want to know, and whether that changed them.
func annotateSize(have map[string]string, size, maximum int32) (map[string]string, bool) {
	d, m := strconv.FormatInt(int64(size), 10), strconv.FormatInt(int64(maximum), 10)
	if have[DesiredReplicasAnnotation] == d && have[MaxReplicasAnnotation] == m {
		return have, false
	}
	out := maps.Clone(have)
	if out == nil {
		out = make(map[string]string)
	}
	out[DesiredReplicasAnnotation], out[MaxReplicasAnnotation] = d, m
	return out, true
}

// sizeAnnotation reads DesiredReplicasAnnotation or MaxReplicasAnnotation.
func sizeAnnotation(rs *appsv1.ReplicaSet, key string) (int32, bool) {
	n, err := strconv.ParseInt(rs.Annotations[key], 10, 32)
	return int32(n), err == nil
}
