package discovery

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func endpointSliceResource() resource.Resource {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	return resource.Define[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](resource.Definition[discoveryv1.EndpointSlice]{
		Names: resource.Names{
			Kind:   discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
			Plural: "endpointslices",
		},
		PrepareForCreate: func(_ context.Context, s *discoveryv1.EndpointSlice) { s.Generation = 1 },
		PrepareForUpdate: bumpGeneration,
		Validate:         ValidateEndpointSlice,
		ValidateUpdate:   ValidateEndpointSliceUpdate,
		Columns: []resource.TypedColumn[discoveryv1.EndpointSlice]{
			columns.Name[discoveryv1.EndpointSlice](),
			columns.Text("AddressType", doc["addressType"], func(s *discoveryv1.EndpointSlice) string { return string(s.AddressType) }),
			columns.Text("Ports", doc["ports"], func(s *discoveryv1.EndpointSlice) string { return firstThree(ports(s)) }),
			columns.Text("Endpoints", doc["endpoints"], func(s *discoveryv1.EndpointSlice) string { return firstThree(addresses(s)) }),
			columns.Age[discoveryv1.EndpointSlice](),
		},
	})
}

// bumpGeneration counts the changes of a slice, which has no spec: of all its
// content and of its labels.
func bumpGeneration(_ context.Context, s, old *discoveryv1.EndpointSlice) {
	content := func(s *discoveryv1.EndpointSlice) discoveryv1.EndpointSlice {
		c := *s
		c.TypeMeta, c.ObjectMeta = metav1.TypeMeta{}, metav1.ObjectMeta{Labels: s.Labels}
		return c
	}
	if !equality.Semantic.DeepEqual(content(s), content(old)) {
		s.Generation = old.Generation + 1
	}
}

// SetDefaultsEndpointSlice makes ports TCP and gives them a name, be it empty.
func SetDefaultsEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		defaulting.Pointer(&s.Ports[i].Name, "")
		defaulting.Pointer(&s.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func ports(s *discoveryv1.EndpointSlice) []string {
	var list []string
	for _, p := range s.Ports {
		switch {
		case p.Port != nil:
			list = append(list, strconv.Itoa(int(*p.Port)))
		case p.Name != nil && *p.Name != "":
			list = append(list, *p.Name)
		default:
			list = append(list, "*")
		}
	}
	return list
}

func addresses(s *discoveryv1.EndpointSlice) []string {
	var list []string
	for _, e := range s.Endpoints {
		list = append(list, e.Addresses...)
	}
	return list
}

// firstThree returns the start of the list and how many more there are.
func firstThree(list []string) string {
	const most = 3
	switch {
	case len(list) == 0:
		return columns.Unset
	case len(list) > most:
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:most], ","), len(list)-most)
	}
	return strings.Join(list, ",")
}
