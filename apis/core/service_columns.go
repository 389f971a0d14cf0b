package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skiff-project/skiff/apis/resource"

	"github.com/skiff-project/skiff/apis/resource/columns"
)

func serviceColumns() []resource.TypedColumn[corev1.Service] {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []resource.TypedColumn[corev1.Service]{
		columns.Name[corev1.Service](),
		columns.Text("Type", doc["type"], func(s *corev1.Service) string { return string(s.Spec.Type) }),
		columns.Text("Cluster-IP", doc["clusterIP"], func(s *corev1.Service) string { return columns.OrNone(s.Spec.ClusterIP) }),
		columns.Text("External-IP", doc["externalIPs"], func(s *corev1.Service) string { return externalIP(s) }),
		columns.Text("Port(s)", doc["ports"], func(s *corev1.Service) string { return servicePorts(s) }),
		columns.Age[corev1.Service](),
		columns.Wide(columns.Text("Selector", doc["selector"], func(s *corev1.Service) string { return labels.FormatLabels(s.Spec.Selector) })),
	}
}

// externalIP returns under which addresses the service can be reached from
// outside of the cluster.
func externalIP(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		addresses := append(loadBalancerAddresses(s), s.Spec.ExternalIPs...)
		if len(addresses) == 0 {
			return "<pending>"
		}
		return strings.Join(addresses, ",")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return columns.OrNone(s.Spec.ExternalIPs...)
	}
	return columns.Unknown
}

// loadBalancerAddresses returns the addresses or names of the load balancer.
func loadBalancerAddresses(s *corev1.Service) []string {
	var list []string
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		switch {
		case ingress.IP != "":
			list = append(list, ingress.IP)
		case ingress.Hostname != "":
			list = append(list, ingress.Hostname)
		}
	}
	return list
}

func servicePorts(s *corev1.Service) string {
	var list []string
	for _, port := range s.Spec.Ports {
		if port.NodePort > 0 {
			list = append(list, fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol))
		} else {
			list = append(list, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	return columns.OrNone(list...)
}
