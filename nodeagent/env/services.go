package env

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiService is the Service of the API server; every pod gets its variables,
// whatever enableServiceLinks says.
const apiService = "kubernetes"

// serviceVars returns the variables that tell the pod where Services are, in
// kube's form and in that of Docker's old container links.
func serviceVars(pod *corev1.Pod, services []*corev1.Service) map[string]string {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	chosen := map[string]*corev1.Service{}
	for _, service := range services {
		if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		switch {
		case service.Namespace == pod.Namespace && links:
			chosen[service.Name] = service // the pod's own namespace wins
		case service.Namespace == metav1.NamespaceDefault && service.Name == apiService:
			if _, ok := chosen[service.Name]; !ok {
				chosen[service.Name] = service
			}
		}
	}
	vars := map[string]string{}
	for _, service := range chosen {
		addServiceVars(vars, service)
	}
	return vars
}

func addServiceVars(vars map[string]string, service *corev1.Service) {
	prefix := strings.ToUpper(strings.ReplaceAll(service.Name, "-", "_"))
	ip := service.Spec.ClusterIP
	vars[prefix+"_SERVICE_HOST"] = ip
	for i, port := range service.Spec.Ports {
		number := strconv.Itoa(int(port.Port))
		if i == 0 {
			vars[prefix+"_SERVICE_PORT"] = number
		}
		if port.Name != "" {
			vars[prefix+"_SERVICE_PORT_"+strings.ToUpper(strings.ReplaceAll(port.Name, "-", "_"))] = number
		}
		protocol := string(corev1.ProtocolTCP)
		if port.Protocol != "" {
			protocol = string(port.Protocol)
		}
		url := fmt.Sprintf("%s://%s", strings.ToLower(protocol), net.JoinHostPort(ip, number))
		if i == 0 {
			vars[prefix+"_PORT"] = url
		}
		link := fmt.Sprintf("%s_PORT_%s_%s", prefix, number, strings.ToUpper(protocol))
		vars[link] = url
		vars[link+"_PROTO"] = strings.ToLower(protocol)
		vars[link+"_PORT"] = number
		vars[link+"_ADDR"] = ip
	}
}
