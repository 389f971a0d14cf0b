package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	kubernetesService = "kubernetes"
	httpsPort         = 443
	httpsName         = "https"
	// skipMirror keeps the EndpointSlice mirroring controller away: the slice is
	// made here.
	skipMirror = "endpointslice.kubernetes.io/skip-mirror"
)

// KubernetesConfig says where the API server is.
type KubernetesConfig struct {
	// ClusterIP is the first address of the Service CIDR.
	ClusterIP netip.Addr
	// Address and Port are what the server advertises.
	Address netip.Addr
	Port    int32
}

// KubernetesService ensures Service default/kubernetes and, with the namespace
// that they are in, its endpoints: the way in which pods find the API server.
func KubernetesService(client kubernetes.Interface, cfg KubernetesConfig) Ensure {
	return func(ctx context.Context) error {
		if err := ensureNamespace(ctx, client, metav1.NamespaceDefault); err != nil {
			return err
		}
		err := ensureService(ctx, client, cfg)
		if cfg.Address.IsLoopback() || !cfg.Address.IsValid() {
			// Nothing but this host could use such endpoints, and the API forbids them.
			klog.FromContext(ctx).V(2).Info("Service kubernetes gets no endpoints: the advertised address is a loopback one", "address", cfg.Address)
			return err
		}
		return errors.Join(err, ensureEndpoints(ctx, client, cfg), ensureEndpointSlice(ctx, client, cfg))
	}
}

func ensureService(ctx context.Context, client kubernetes.Interface, cfg KubernetesConfig) error {
	services := client.CoreV1().Services(metav1.NamespaceDefault)
	want := []corev1.ServicePort{{
		Name: httpsName, Protocol: corev1.ProtocolTCP, Port: httpsPort, TargetPort: intstr.FromInt32(cfg.Port),
	}}
	have, err := services.Get(ctx, kubernetesService, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Name:      kubernetesService,
				Namespace: metav1.NamespaceDefault,
				Labels:    map[string]string{"provider": "kubernetes", "component": "apiserver"},
			},
			Spec: corev1.ServiceSpec{
				Ports:           want,
				ClusterIP:       cfg.ClusterIP.String(),
				IPFamilyPolicy:  ptr.To(corev1.IPFamilyPolicySingleStack),
				IPFamilies:      []corev1.IPFamily{family(cfg.ClusterIP)},
				SessionAffinity: corev1.ServiceAffinityNone,
				Type:            corev1.ServiceTypeClusterIP,
			},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating service kubernetes: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up service kubernetes: %w", err)
	}
	if equality.Semantic.DeepEqual(have.Spec.Ports, want) {
		return nil
	}
	changed := have.DeepCopy()
	changed.Spec.Ports = want
	if _, err := services.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("updating service kubernetes: %w", err)
	}
	return nil
}

func family(a netip.Addr) corev1.IPFamily {
	if a.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func ensureEndpoints(ctx context.Context, client kubernetes.Interface, cfg KubernetesConfig) error {
	endpoints := client.CoreV1().Endpoints(metav1.NamespaceDefault)
	want := []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: cfg.Address.String()}},
		Ports:     []corev1.EndpointPort{{Name: httpsName, Port: cfg.Port, Protocol: corev1.ProtocolTCP}},
	}}
	have, err := endpoints.Get(ctx, kubernetesService, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = endpoints.Create(ctx, &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{
				Name:      kubernetesService,
				Namespace: metav1.NamespaceDefault,
				Labels:    map[string]string{skipMirror: "true"},
			},
			Subsets: want,
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating endpoints kubernetes: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up endpoints kubernetes: %w", err)
	}
	if equality.Semantic.DeepEqual(have.Subsets, want) && have.Labels[skipMirror] == "true" {
		return nil
	}
	changed := have.DeepCopy()
	changed.Subsets = want
	if changed.Labels == nil {
		changed.Labels = map[string]string{}
	}
	changed.Labels[skipMirror] = "true"
	if _, err := endpoints.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("updating endpoints kubernetes: %w", err)
	}
	return nil
}

func ensureEndpointSlice(ctx context.Context, client kubernetes.Interface, cfg KubernetesConfig) error {
	slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:      kubernetesService,
			Namespace: metav1.NamespaceDefault,
			Labels:    map[string]string{discoveryv1.LabelServiceName: kubernetesService},
		},
		AddressType: discoveryv1.AddressType(family(cfg.Address)),
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:  []string{cfg.Address.String()},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
		Ports: []discoveryv1.EndpointPort{{
			Name: ptr.To(httpsName), Port: ptr.To(cfg.Port), Protocol: ptr.To(corev1.ProtocolTCP),
		}},
	}
	have, err := slices.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err == nil && have.AddressType != want.AddressType {
		// The address type of a slice cannot be changed.
		if err := slices.Delete(ctx, kubernetesService, metav1.DeleteOptions{}); err != nil {
			return fmt.Errorf("replacing endpoint slice kubernetes: %w", err)
		}
		err = apierrors.NewNotFound(discoveryv1.Resource("endpointslices"), kubernetesService)
		have = nil
	}
	if have == nil || apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, want, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating endpoint slice kubernetes: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up endpoint slice kubernetes: %w", err)
	}
	if equality.Semantic.DeepEqual(have.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(have.Ports, want.Ports) &&
		have.Labels[discoveryv1.LabelServiceName] == kubernetesService {
		return nil
	}
	changed := have.DeepCopy()
	changed.Endpoints, changed.Ports = want.Endpoints, want.Ports
	if changed.Labels == nil {
		changed.Labels = map[string]string{}
	}
	changed.Labels[discoveryv1.LabelServiceName] = kubernetesService
	if _, err := slices.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("updating endpoint slice kubernetes: %w", err)
	}
	return nil
}
