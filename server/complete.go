package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/util/keyutil"

	"github.com/skiff-project/skiff/server/auth"
)

// Complete fills in what depends on other options or on the host: the advertise
// address, a self-signed serving certificate and a service account signing key
// where none is given.
func (o *Options) Complete() error {
	// Feature gates must have their final values before anything asks for them.
	if err := o.Run.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	if err := o.Run.DefaultAdvertiseAddress(o.SecureServing); err != nil {
		return fmt.Errorf("finding an address to advertise: %w", err)
	}
	ranges, err := o.Services.clusterIPRanges()
	if err != nil {
		return err
	}
	var serviceIPs []net.IP
	for _, r := range ranges {
		serviceIPs = append(serviceIPs, firstAddress(r).AsSlice())
	}
	names := []string{"kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"}
	if err := o.SecureServing.MaybeDefaultWithSelfSignedCerts(o.Run.AdvertiseAddress.String(), names, append(serviceIPs, loopbackIP)); err != nil {
		return fmt.Errorf("making a serving certificate: %w", err)
	}
	if o.Run.ExternalHost == "" {
		o.Run.ExternalHost = o.Run.AdvertiseAddress.String()
	}
	return o.ServiceAccounts.complete(o.SecureServing.ServerCert.CertDirectory)
}

// complete makes a signing key in dir if there is none.
func (o *ServiceAccountOptions) complete(dir string) error {
	if o.SigningKeyFile != "" || len(o.KeyFiles) > 0 {
		return nil
	}
	file := filepath.Join(dir, "service-account-signing.key")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("generating a service account signing key: %w", err)
		}
		pem, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			return fmt.Errorf("encoding the service account signing key: %w", err)
		}
		if err := keyutil.WriteKey(file, pem); err != nil {
			return fmt.Errorf("writing the service account signing key: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("looking for a service account signing key: %w", err)
	}
	o.SigningKeyFile = file
	return nil
}

// clusterIPRanges parses --service-cluster-ip-range: one prefix, or two of
// different families.
func (o *ServiceOptions) clusterIPRanges() ([]netip.Prefix, error) {
	var ranges []netip.Prefix
	for _, text := range strings.Split(o.ClusterIPRange, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("--service-cluster-ip-range: %w", err)
		}
		ranges = append(ranges, prefix.Masked())
	}
	if len(ranges) > 2 || len(ranges) == 2 && ranges[0].Addr().Is4() == ranges[1].Addr().Is4() {
		return nil, errors.New("--service-cluster-ip-range: expected one CIDR or two of different IP families")
	}
	return ranges, nil
}

// firstAddress is the address of Service default/kubernetes.
func firstAddress(p netip.Prefix) netip.Addr { return p.Addr().Next() }

// Validate returns everything that is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	errs = append(errs, o.Run.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.RequestHeader.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Admission.Validate()...)
	errs = append(errs, o.validateEtcd()...)
	errs = append(errs, o.Services.validate()...)
	errs = append(errs, auth.ValidateModes(o.AuthorizationModes)...)
	if o.Features.EnablePriorityAndFairness {
		errs = append(errs, errors.New("--enable-priority-and-fairness: the group flowcontrol.apiserver.k8s.io is not served"))
	}
	if (o.ProxyClientCertFile == "") != (o.ProxyClientKeyFile == "") {
		errs = append(errs, errors.New("--proxy-client-cert-file and --proxy-client-key-file must be given together"))
	}
	if (o.Kubelet.ClientCertFile == "") != (o.Kubelet.ClientKeyFile == "") {
		errs = append(errs, errors.New("--kubelet-client-certificate and --kubelet-client-key must be given together"))
	}
	return errs
}

// validateEtcd checks the etcd flags. Unlike kube-apiserver's they may leave out
// the servers, which means the embedded one.
func (o *Options) validateEtcd() []error {
	var errs []error
	if len(o.Etcd.StorageConfig.Transport.ServerList) == 0 {
		if o.DataDir == "" {
			errs = append(errs, errors.New("--data-dir is required without --etcd-servers"))
		}
		etcd := *o.Etcd
		etcd.StorageConfig.Transport.ServerList = []string{"embedded"}
		errs = append(errs, etcd.Validate()...)
	} else {
		errs = append(errs, o.Etcd.Validate()...)
	}
	if len(o.Etcd.EtcdServersOverrides) > 0 {
		errs = append(errs, errors.New("--etcd-servers-overrides: one etcd cluster serves all resources"))
	}
	return errs
}

func (o *ServiceOptions) validate() []error {
	var errs []error
	if _, err := o.clusterIPRanges(); err != nil {
		errs = append(errs, err)
	}
	if o.NodePortRange.Size < 1 {
		errs = append(errs, errors.New("--service-node-port-range: no port in it"))
	}
	return errs
}
