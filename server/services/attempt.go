package services

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	servicehelper "github.com/skiff-project/skiff/apis/helpers/service"
)

// attempt takes what one version of a service wants.
type attempt struct {
	store       *Store
	transaction *transaction
	owner       string
	dryRun      bool
}

func invalid(service *corev1.Service, err *field.Error) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), service.Name, field.ErrorList{err})
}

// take takes the item, or any if it is "", and returns it.
func (a *attempt) take(ctx context.Context, from Allocator, item string) (string, error) {
	var err error
	switch {
	case a.dryRun && item == "":
		return from.PeekNext(ctx)
	case a.dryRun:
		return item, from.Check(ctx, item, a.owner)
	case item == "":
		item, err = from.AllocateNext(ctx, a.owner)
	default:
		err = from.Allocate(ctx, item, a.owner)
	}
	if err == nil {
		a.transaction.taken = append(a.transaction.taken, claim{from, item, a.owner})
	}
	return item, err
}

// addresses fills spec.clusterIPs: one per family, the user's choices first.
func (a *attempt) addresses(ctx context.Context, service, old *corev1.Service) error {
	spec := &service.Spec
	if !servicehelper.NeedsClusterIP(service) {
		return nil
	}
	if servicehelper.IsHeadless(service) {
		spec.ClusterIPs = []string{corev1.ClusterIPNone}
		return nil
	}
	has := usedAddresses(old)
	path := field.NewPath("spec", "clusterIPs")
	ips := slices.Clone(spec.ClusterIPs)
	for i, family := range spec.IPFamilies {
		from := a.store.cfg.Addresses[family]
		if from == nil {
			continue // validation refuses the unknown family
		}
		wish := ""
		if i < len(ips) {
			wish = ips[i]
		}
		if wish != "" && slices.Contains(has, wish) {
			continue
		}
		if addr, err := netip.ParseAddr(wish); wish != "" && (err != nil || familyOf(addr) != family) {
			continue // validation says what is wrong with it
		}
		got, err := a.take(ctx, from, wish)
		if err != nil && wish != "" {
			return invalid(service, field.Invalid(path, spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %v", wish, err)))
		}
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: %w", err))
		}
		if i < len(ips) {
			ips[i] = got
		} else {
			ips = append(ips, got)
		}
	}
	if len(ips) > 0 {
		spec.ClusterIPs = ips
		if spec.ClusterIP == "" {
			spec.ClusterIP = ips[0]
		}
	}
	return nil
}

// ports fills the node ports. Ports of one number but different protocols share
// a node port.
func (a *attempt) ports(ctx context.Context, service, old *corev1.Service) error {
	has := usedPorts(old)
	if servicehelper.NeedsNodePort(service) || service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		if err := a.servicePorts(ctx, service, has); err != nil {
			return err
		}
	}
	if servicehelper.NeedsHealthCheckNodePort(service) {
		return a.healthCheckPort(ctx, service, has)
	}
	return nil
}

func (a *attempt) servicePorts(ctx context.Context, service *corev1.Service, has []string) error {
	mine := slices.Clone(has)
	byNumber := map[int32]int32{}
	path := field.NewPath("spec", "ports")
	// Chosen ports first, so that automatic ones cannot take them away.
	for i := range service.Spec.Ports {
		p := &service.Spec.Ports[i]
		if p.NodePort == 0 {
			continue
		}
		byNumber[p.Port] = p.NodePort
		text := strconv.Itoa(int(p.NodePort))
		if slices.Contains(mine, text) {
			continue
		}
		if _, err := a.take(ctx, a.store.cfg.Ports, text); err != nil {
			return invalid(service, field.Invalid(path.Index(i).Child("nodePort"), p.NodePort, err.Error()))
		}
		mine = append(mine, text)
	}
	if !servicehelper.NeedsNodePort(service) {
		return nil
	}
	protocols := map[string]bool{} // node port and protocol that are given out
	for _, p := range service.Spec.Ports {
		protocols[fmt.Sprint(p.NodePort, p.Protocol)] = true
	}
	for i := range service.Spec.Ports {
		p := &service.Spec.Ports[i]
		if p.NodePort != 0 {
			continue
		}
		if shared := byNumber[p.Port]; shared != 0 && !protocols[fmt.Sprint(shared, p.Protocol)] {
			p.NodePort = shared
		} else {
			got, err := a.takePort(ctx)
			if err != nil {
				return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
			}
			p.NodePort = got
			byNumber[p.Port] = got
		}
		protocols[fmt.Sprint(p.NodePort, p.Protocol)] = true
	}
	return nil
}

func (a *attempt) takePort(ctx context.Context) (int32, error) {
	text, err := a.take(ctx, a.store.cfg.Ports, "")
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading an allocated port: %w", err)
	}
	return int32(port), nil
}

func (a *attempt) healthCheckPort(ctx context.Context, service *corev1.Service, has []string) error {
	port := service.Spec.HealthCheckNodePort
	if port == 0 {
		got, err := a.takePort(ctx)
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
		}
		service.Spec.HealthCheckNodePort = got
		return nil
	}
	text := strconv.Itoa(int(port))
	if slices.Contains(has, text) {
		return nil
	}
	if _, err := a.take(ctx, a.store.cfg.Ports, text); err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", port, err))
	}
	return nil
}
