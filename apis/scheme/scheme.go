// Package scheme builds the one runtime.Scheme of the project from the API group
// packages.
//
// # Model
//
// Scheme knows every kind under its served versions and, with the same Go type,
// under the __internal version of its group (see apis/resource). Codecs and
// ParameterCodec belong to it. External holds only the served versions: OpenAPI
// names types by their registrations, and __internal must not show there.
//
// # Traps
//
// The variables are built once and never changed afterwards; nothing may register
// a type in them at run time.
package scheme

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

var (
	// Scheme knows all kinds, defaults and conversions.
	Scheme = mustBuild()
	// Codecs encodes and decodes the kinds of Scheme.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec decodes query parameters into the option types.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
	// External has the served versions only.
	External = mustBuildExternal(Scheme)
)

// group is one API group package.
type group struct {
	resources   func() []resource.Resource
	addToScheme func(*runtime.Scheme) error
}

// Resources returns the rows of all groups.
func Resources() []resource.Resource {
	var all []resource.Resource
	for _, g := range groups {
		if g.resources != nil {
			all = append(all, g.resources()...)
		}
	}
	return all
}

func mustBuild() *runtime.Scheme {
	s, err := build()
	utilruntime.Must(err)
	return s
}

func build() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	unversioned := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, unversioned)
	s.AddUnversionedTypes(unversioned,
		&metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})

	rows := Resources()
	for _, row := range rows {
		if err := addFieldLabels(s, row); err != nil {
			return nil, err
		}
	}
	for _, g := range groups {
		if err := g.addToScheme(s); err != nil {
			return nil, err
		}
	}
	return s, setPriorities(s, rows)
}

// addFieldLabels lets clients select by the fields of the row, in each of its
// served versions. It runs before the groups register themselves, so that a
// group can give a version other names for its fields.
func addFieldLabels(s *runtime.Scheme, row resource.Resource) error {
	known := map[string]bool{"metadata.name": true}
	if !row.ClusterScoped {
		known["metadata.namespace"] = true
	}
	for _, f := range row.Fields {
		known[f.Path] = true
	}
	for _, gv := range Versions(row) {
		err := s.AddFieldLabelConversionFunc(gv.WithKind(row.Kind.Kind), func(label, value string) (string, string, error) {
			if known[label] {
				return label, value, nil
			}
			return "", "", fmt.Errorf("field label not supported: %s", label)
		})
		if err != nil {
			return fmt.Errorf("registering the fields of %s: %w", row.Kind, err)
		}
	}
	return nil
}

// setPriorities makes each row's home version the preferred one of its group,
// before other versions of that group.
func setPriorities(s *runtime.Scheme, rows []resource.Resource) error {
	versions := map[string][]schema.GroupVersion{}
	add := func(gv schema.GroupVersion) {
		for _, have := range versions[gv.Group] {
			if have == gv {
				return
			}
		}
		versions[gv.Group] = append(versions[gv.Group], gv)
	}
	for _, row := range rows {
		add(row.Kind.GroupVersion())
	}
	for _, row := range rows {
		for _, gv := range row.Also {
			add(gv)
		}
	}
	for _, gvs := range versions {
		if err := s.SetVersionPriority(gvs...); err != nil {
			return fmt.Errorf("ordering versions: %w", err)
		}
	}
	return nil
}

// Versions returns the group versions under which the row is served, its home
// first.
func Versions(row resource.Resource) []schema.GroupVersion {
	return append([]schema.GroupVersion{row.Kind.GroupVersion()}, row.Also...)
}

func mustBuildExternal(all *runtime.Scheme) *runtime.Scheme {
	s := runtime.NewScheme()
	for gvk := range all.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		obj, err := all.New(gvk)
		utilruntime.Must(err)
		s.AddKnownTypeWithName(gvk, obj)
	}
	return s
}
