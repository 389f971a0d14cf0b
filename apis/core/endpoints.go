package core

import (
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func endpointsResource() resource.Resource {
	return resource.Define[corev1.Endpoints, corev1.EndpointsList](resource.Definition[corev1.Endpoints]{
		Names: resource.Names{
			Kind:           corev1.SchemeGroupVersion.WithKind("Endpoints"),
			Plural:         "endpoints",
			ShortNames:     []string{"ep"},
			NoGeneration:   true,
			CreateOnUpdate: true,
			KeyPrefix:      "services/endpoints",
		},
		Validate:       ValidateEndpoints,
		ValidateUpdate: ValidateEndpointsUpdate,
		Columns: []resource.TypedColumn[corev1.Endpoints]{
			columns.Name[corev1.Endpoints](),
			columns.Text("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"], func(e *corev1.Endpoints) string {
				return endpointAddresses(e)
			}),
			columns.Age[corev1.Endpoints](),
		},
	})
}

// endpointAddresses lists the first three ready address:port pairs and counts
// the others.
func endpointAddresses(e *corev1.Endpoints) string {
	const shown = 3
	var list []string
	count := 0
	add := func(address string) {
		if count++; count <= shown {
			list = append(list, address)
		}
	}
	for _, subset := range e.Subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				add(address.IP)
			}
		}
		for _, port := range subset.Ports {
			for _, address := range subset.Addresses {
				add(net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
			}
		}
	}
	if count > shown {
		return fmt.Sprintf("%s + %d more...", columns.OrNone(list...), count-shown)
	}
	return columns.OrNone(list...)
}
